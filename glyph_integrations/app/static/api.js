// Talking to the server: JSON, and streams of one JSON object a line.

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function checked(response) {
  if (response.ok) return response;
  let message = `the server answered ${response.status}`;
  try {
    message = (await response.json()).error || message;
  } catch {
    // not JSON: the status has to do
  }
  throw new Refused(message, response.status);
}

async function reach(path, options) {
  try {
    return await checked(await fetch(path, { credentials: "same-origin", ...options }));
  } catch (error) {
    if (error instanceof Refused || error.name === "AbortError") throw error;
    throw new Refused("the server cannot be reached; is it still running?", 0);
  }
}

export const get = async (path) => (await reach(path)).json();

export async function send(method, path, values) {
  const body = values === undefined ? undefined : JSON.stringify(values);
  return (await reach(path, { method, body, headers: { "Content-Type": "application/json" } })).json();
}

// The events of a piece of work. An event of kind "error" is thrown.
export async function* events(method, path, body, signal, more = {}) {
  const raw = body instanceof Blob || typeof body === "string";
  const response = await reach(path, {
    method,
    signal,
    body: raw ? body : JSON.stringify(body),
    headers: { "Content-Type": raw ? "application/octet-stream" : "application/json", ...more },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += value || "";
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const event = JSON.parse(line);
        if (event.kind === "error") throw new Refused(event.message, 200);
        yield event;
      }
      if (done) return;
    }
  } catch (error) {
    if (error instanceof Refused || error.name === "AbortError") throw error;
    throw new Refused("the connection broke off; is the server still running?", 0);
  } finally {
    reader.cancel().catch(() => {});
  }
}

export const picture = (id, query) => `/api/picture/${encodeURIComponent(id)}?${new URLSearchParams(query)}`;
