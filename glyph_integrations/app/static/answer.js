// An answer or a summary: its words, and in them every citation as a button that opens its page.

import { h } from "./dom.js";
import { openPage } from "./viewer.js";

const REFERENCE = /\[p\. \d+ of [^\]\n]{1,400}\]|\(?\[?\b(?:pages?|pp?\.)\s*\d+[^)\]\n]{0,60}[)\]]/giu;

// Where in the text each citation's words stand: [start, end, citation], in order, not overlapping.
function places(text, citations) {
  const found = [];
  let from = 0;
  for (const citation of citations) {
    if (!citation.quote) continue;
    let at = text.indexOf(citation.quote, from);
    if (at < 0) at = text.indexOf(citation.quote);
    if (at < 0 || found.some(([a, b]) => at < b && a < at + citation.quote.length)) continue;
    found.push([at, at + citation.quote.length, citation]);
    from = at + citation.quote.length;
  }
  return found.sort((a, b) => a[0] - b[0]);
}

// References such as [p. 12], each with a citation of that page, first those that no quotation took.
function references(text, citations, taken) {
  const named = (said) => {
    const [page] = /\d+/.exec(said);
    const source = /^\[p\. \d+ of (.+)\]$/.exec(said)?.[1]; // where several documents are summarized
    const plain = (name) => name.trim().split(/\s+/).join(" ");
    return ({ places: [place] }) => place && String(place.number) === page && (!source || plain(place.source) === source);
  };
  const bare = citations.filter((citation) => !taken.some(([, , other]) => other === citation));
  const found = [];
  for (const match of text.matchAll(REFERENCE)) {
    const at = match.index;
    if (taken.some(([a, b]) => at < b && a < at + match[0].length)) continue;
    const mine = bare.findIndex(named(match[0]));
    const citation = mine < 0 ? citations.find(named(match[0])) : bare.splice(mine, 1)[0];
    if (citation) found.push([at, at + match[0].length, citation, mine < 0]);
  }
  return found;
}

const open = (citation, place = citation.places[0]) => openPage(place, place.marks);

// A link, since a button cannot run on over the end of a line.
function cite(words, citation, again) {
  const state = again ? "again" : citation.verified ? "verified" : citation.places.length ? "unsure" : "missing";
  const title = citation.verified ? "Found on the page word for word" : citation.note || "Not verified";
  if (!citation.places.length) return h("span", { className: `cite ${state}`, title }, words);
  return h("a", { href: "#page", role: "button", className: `cite ${state}`, title, onclick: (event) => {
    event.preventDefault();
    open(citation);
  } }, words);
}

export function answerText(text, citations) {
  const quoted = places(text, citations);
  const all = [...quoted, ...references(text, citations, quoted)].sort((a, b) => a[0] - b[0]);
  const pieces = [];
  let at = 0;
  for (const [start, end, citation, again] of all) {
    pieces.push(text.slice(at, start), cite(text.slice(start, end), citation, again));
    at = end;
  }
  return h("div", { className: "answer-text", dir: "auto" }, ...pieces, text.slice(at));
}

export function citationList(citations, several) {
  if (!citations.length) return null;
  const chip = (citation) => {
    const place = citation.places[0];
    const name = place ? (several ? `${place.source} ` : "") + `p. ${citation.label}` : "not found";
    const mark = citation.verified ? "✓ " : place ? "≈ " : "✗ ";
    const title = [citation.quote, citation.note].filter(Boolean).join(" — ");
    return h("li", {},
      h("button", { type: "button", className: `chip ${citation.verified ? "verified" : place ? "unsure" : "missing"}`, title, disabled: !place,
        onclick: () => open(citation) }, mark + name),
      citation.places.slice(1).map((more) =>
        h("button", { type: "button", className: "chip", onclick: () => open(citation, more) }, `→ p. ${more.number}`)));
  };
  return h("ul", { className: "chips", ariaLabel: "Citations" }, citations.map(chip));
}
