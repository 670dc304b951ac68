// What the page knows, and a bell that rings when a part of it changes.

const KEPT = "glyph-settings";

export const state = {
  about: null,
  documents: [],
  family: "glyph",
  style: { preset: "glyph-72" },
  reader: { kind: "none" },
  k: 5,
};

const bell = new EventTarget();
export const on = (name, action) => bell.addEventListener(name, (event) => action(event.detail));
export const ring = (name, detail) => bell.dispatchEvent(new CustomEvent(name, { detail }));

// Settings outlive the page; a key of a model server never does.
export function keep() {
  const { family, style, reader, k } = state;
  try {
    localStorage.setItem(KEPT, JSON.stringify({ family, style, reader: { ...reader, api_key: undefined }, k }));
  } catch {
    // private windows may refuse
  }
}

export function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) || "{}");
    const { presets, families } = state.about;
    if (kept.style && kept.style.preset in presets) state.style = kept.style;
    if (families.some((family) => family.name === kept.family)) state.family = kept.family;
    if (kept.reader && typeof kept.reader.kind === "string") state.reader = kept.reader;
    if (Number.isInteger(kept.k)) state.k = kept.k;
  } catch {
    // damaged: begin with the defaults
  }
}
