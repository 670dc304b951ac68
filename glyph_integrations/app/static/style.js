// Controls of the page style. Each change draws the pages anew, a moment after the last one.

import { debounce, fill, h } from "./dom.js";
import { keep, on, ring, state } from "./state.js";

const MAIN = [
  ["font_size", "Letter size", 0.5],
  ["line_height", "Line height", 0.5],
  ["dpi", "Resolution (dpi)", 1],
  ["columns", "Columns", 1],
  ["margin_x", "Side margins", 1],
  ["margin_y", "Top margins", 1],
];
const MORE = [
  ["width", "Page width", 1],
  ["height", "Page height", 1],
  ["column_gap", "Column gap", 1],
  ["horizontal_scale", "Letter width", 0.05],
  ["blank_height", "Blank lines", 0.1],
  ["levels", "Grey levels", 1],
];
const CHOICES = [
  ["newline", "Line ends", { auto: "as fits", keep: "keep all", reflow: "join wrapped lines", marked: "mark ¶, run on" }],
  ["align", "Alignment", { left: "left", right: "right", center: "centred", justify: "justified" }],
  ["font", "Letters", { sans: "Sans", mono: "Monospaced" }],
  ["label", "Label on top", { "": "none", number: "page number", source: "name and number" }],
];
// What a slider offers; the server takes more.
const REACH = { font_size: [5, 24], line_height: [5, 36], margin_x: [0, 80], margin_y: [0, 80], dpi: [36, 200], width: [200, 1100], height: [200, 1500] };

const setting = (name) => state.style[name] ?? state.about.presets[state.style.preset][name];

const redraw = debounce(() => ring("draw"), 250);

function change(name, value) {
  state.style = { ...state.style, [name]: value };
  if (state.about.presets[state.style.preset][name] === value) delete state.style[name];
  keep();
  ring("style");
  redraw();
}

// Larger letters need lines further apart: the line height keeps its share of the letter size, so that lines run into each other
// only where somebody moves the line height itself.
let share = 1;
const measure = () => (share = setting("line_height") / setting("font_size"));

function resize(size) {
  const [low, high] = REACH.line_height;
  const height = Math.min(high, Math.max(low, Math.round(2 * size * share) / 2));
  change("font_size", size);
  change("line_height", height);
  const input = document.getElementById("style-line_height");
  input.value = height;
  input.previousElementSibling.textContent = height;
}

function slider([name, label, step]) {
  const [low, high] = REACH[name] || state.about.numbers[name];
  const shown = h("output", {});
  const input = h("input", { type: "range", min: low, max: high, step, id: `style-${name}` });
  input.value = setting(name);
  shown.textContent = setting(name);
  input.addEventListener("input", () => {
    shown.textContent = input.value;
    if (name === "font_size") return resize(Number(input.value));
    change(name, Number(input.value));
    if (name === "line_height") measure();
  });
  return h("div", { className: "control" }, h("label", { htmlFor: input.id }, label), shown, input);
}

function choice([name, label, words]) {
  const options = Object.entries(words).map(([value, word]) => h("option", { value }, word));
  const select = h("select", { id: `style-${name}`, onchange: () => change(name, select.value) }, ...options);
  select.value = setting(name);
  return h("div", { className: "control pair" }, h("label", { htmlFor: select.id }, label), select);
}

function toggle(name, label) {
  const box = h("input", { type: "checkbox", checked: setting(name), onchange: () => change(name, box.checked) });
  return h("label", { className: "control tick" }, box, label);
}

function paper() {
  const buttons = ["light", "dark"].map((value) =>
    h("button", { type: "button", ariaPressed: String(setting("paper") === value), onclick: () => {
      change("paper", value);
      for (const other of buttons) other.ariaPressed = String(other.value === value);
    }, value }, value === "light" ? "Light paper" : "Dark paper"));
  return h("div", { className: "segments", role: "group", ariaLabel: "Paper" }, ...buttons);
}

export function stylePanel() {
  const controls = h("div", { className: "controls" });
  const preset = h("select", { id: "style-preset", ariaLabel: "Preset" },
    ...Object.keys(state.about.presets).map((name) => h("option", {}, name)));
  const reset = h("button", { type: "button", className: "quiet", onclick: () => choose(state.style.preset) }, "Reset");
  const draw = () => {
    preset.value = state.style.preset;
    measure();
    const open = controls.querySelector("details")?.open;
    fill(
      controls,
      paper(),
      MAIN.map(slider),
      choice(CHOICES[0]),
      h("details", { open }, h("summary", {}, "More"), CHOICES.slice(1).map(choice), MORE.map(slider),
        toggle("line_numbers", "Line numbers"), toggle("crop_width", "Narrow to the longest line")),
    );
    changed();
  };
  const changed = () => (reset.hidden = Object.keys(state.style).length < 2);
  const choose = (name) => {
    state.style = { preset: name };
    keep();
    draw();
    redraw();
  };
  preset.addEventListener("change", () => choose(preset.value));
  on("style", changed);
  on("preset", choose);
  draw();
  return h(
    "details",
    { className: "card style", open: innerWidth > 860 },
    h("summary", {}, h("h2", {}, "Style")),
    h("div", { className: "control pair" }, h("label", { htmlFor: "style-preset" }, "Preset"), preset),
    controls,
    reset,
  );
}
