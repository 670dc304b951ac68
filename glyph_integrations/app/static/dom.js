// Elements made of plain values. Text is always a text node: nothing from a document or a model is ever parsed as markup.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !["list", "form", "role"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const number = (value) => Number(value).toLocaleString("en");

export const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1e3).toFixed(0)} kB` : `${Number((count / 1e6).toFixed(1))} MB`;
}

export const ratio = (text, pages) => (pages ? `${(text / pages).toFixed(2)}×` : "–");

export function debounce(action, milliseconds) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

// A bar for long work, with a button that stops it.
export function progress(stop) {
  const bar = h("progress", { max: 1 });
  const words = h("span", { className: "progress-words" }, "Working…");
  const button = stop ? h("button", { type: "button", className: "quiet", onclick: stop }, "Stop") : null;
  const element = h("div", { className: "progress", role: "status" }, bar, words, button);
  return {
    element,
    tell(event) {
      if (event.kind === "waiting") {
        bar.removeAttribute("value");
        words.textContent = "Waiting for others to finish…";
      } else if (event.kind === "progress") {
        if (event.share === null) bar.removeAttribute("value");
        else bar.value = event.share;
        words.textContent = event.done ? `${event.what} · ${number(event.done)}` : `${event.what}…`;
      }
    },
    say(text) {
      bar.removeAttribute("value");
      words.textContent = text;
    },
  };
}
