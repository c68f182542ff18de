"use strict";
// The page: takes a drawing, and shows what the network sees and says, which ink.js and perceptron.js compute.
const MOST_BARS = 10;
const ROW = 32; // units of a layer side by side
const PEN = 24; // of the drawing's 320 pixels: wide enough that `predict` thickens no stroke
const element = (id) => document.getElementById(id);
const drawing = element("drawing");
const pen = drawing.getContext("2d", { willReadFrequently: true });
const strokes = []; // of Path2D
let chosen = null; // a test image that covers the strokes
let pointer = null; // the pointer that is drawing the last stroke

function make(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Shows values from 0 to 255 as gray pixels, and returns the canvas.
function paint(canvas, values, width) {
  canvas.width = width;
  canvas.height = Math.ceil(values.length / width);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, canvas.height);
  values.forEach((value, i) => pixels.data.set([value, value, value, 255], 4 * i));
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Draws the paper, and shows the network's answer unless the paper is empty.
function update() {
  pen.fillRect(0, 0, drawing.width, drawing.height);
  if (chosen) drawChosen();
  else strokes.forEach((stroke) => pen.stroke(stroke));
  const isEmpty = !strokes.length && !chosen;
  element("hint").hidden = !isEmpty;
  for (const name of ["undo", "clear"]) element(name).disabled = isEmpty;
  const { image, warnings } = chosen ? { image: chosen, warnings: [] } : ink.prepare(drawing);
  const { seen, hidden, logits } = perceptron.forward(image);
  const isBlank = image.every((pixel) => pixel === MODEL.paper);
  const probabilities = perceptron.softmax(logits);
  const largest = Math.max(...probabilities);
  if (largest < MODEL.trusted) warnings.push(`a probability below ${MODEL.trusted.toFixed(2)}`);
  element("answer").textContent = isBlank ? "" : MODEL.classes[probabilities.indexOf(largest)];
  element("doubts").textContent = isBlank || !warnings.length ? "" : `Doubtful: ${warnings.join("; ")}.`;
  showBars(probabilities, isBlank);
  paint(element("seen"), seen, MODEL.width);
  hidden.forEach((outputs, i) => showLayer(element("layers").children[i], outputs, isBlank));
}

function drawChosen() {
  const copy = paint(make("canvas"), chosen.map((pixel) => 255 - Math.abs(MODEL.paper - pixel)), MODEL.width);
  const scale = drawing.width / Math.max(MODEL.width, MODEL.height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(copy, 0, 0, scale * MODEL.width, scale * MODEL.height);
}

function showBars(probabilities, isBlank) {
  const order = [...probabilities.keys()];
  if (order.length > MOST_BARS) order.sort((a, b) => probabilities[b] - probabilities[a]);
  element("bars").replaceChildren(...order.slice(0, MOST_BARS).map((i) => {
    const percent = (100 * probabilities[i]).toFixed(1);
    const name = make("span", { className: "name", title: MODEL.classes[i] }, MODEL.classes[i]);
    const bar = make("progress", { max: 100, value: isBlank ? 0 : percent, ariaLabel: MODEL.classes[i] });
    return make("li", {}, name, bar, make("span", { className: "number" }, isBlank ? "" : `${percent} %`));
  }));
}

// Shows the units of a hidden layer as squares: black for the smallest output (at most 0), white for the largest.
function showLayer(place, outputs, isBlank) {
  const smallest = outputs.reduce((a, b) => Math.min(a, b), 0);
  const range = outputs.reduce((a, b) => Math.max(a, b), 0) - smallest || 1;
  const on = outputs.filter((output) => output > perceptron.activation(0)).length;
  const grays = outputs.map((output) => (isBlank ? 0 : (255 * (output - smallest)) / range));
  paint(place.querySelector("canvas"), grays, Math.min(ROW, grays.length));
  place.querySelector("span").textContent = isBlank ? "" : `, ${on} on`;
}

function point(event) {
  const box = drawing.getBoundingClientRect();
  const scale = drawing.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function begin(event) {
  if (event.button || pointer !== null) return; // a second finger, or a palm
  drawing.setPointerCapture(event.pointerId);
  pointer = event.pointerId;
  if (chosen) strokes.length = 0;
  chosen = null;
  strokes.push(new Path2D(`M${point(event)}h0.1`)); // has a length, so that a tap draws a dot
  extend(event);
}

function extend(event) {
  if (event.pointerId !== pointer) return;
  for (const each of [...(event.getCoalescedEvents?.() ?? []), event]) strokes.at(-1).lineTo(...point(each));
  update();
}

function end(event) {
  if (event.pointerId === pointer) pointer = null;
}

function choose(image) {
  chosen = image;
  pointer = null;
  update();
}

function undo() {
  if (!chosen) strokes.pop();
  choose(null);
}

function addLayer(units, i) {
  const label = `Hidden layer ${i + 1}: ${units} units`;
  const canvas = make("canvas", { role: "img", ariaLabel: label });
  canvas.style.width = `min(100%, ${1.5 * Math.min(ROW, units)}rem)`;
  element("layers").append(make("div", {}, make("h3", {}, label, make("span")), canvas));
}

function addToGallery({ image, name }) {
  const pixels = perceptron.bytes(image);
  const canvas = paint(make("canvas"), pixels, MODEL.width);
  const properties = { type: "button", ariaLabel: `Test image of ${name}`, onclick: () => choose(pixels) };
  element("gallery").append(make("button", properties, canvas, name));
}

document.title = `Draw: ${MODEL.title}`;
element("title").textContent = `${MODEL.title}; test accuracy ${MODEL.accuracy}`;
if (!MODEL.classes.every((name) => /^[0-9]$/.test(name))) element("hint").textContent = "Draw here";
element("settings").textContent = MODEL.settings;
MODEL.units.forEach(addLayer);
MODEL.gallery.forEach(addToGallery);
Object.assign(pen, { fillStyle: "#fff", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
drawing.addEventListener("pointerdown", begin);
drawing.addEventListener("pointermove", extend);
for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) drawing.addEventListener(name, end);
element("undo").addEventListener("click", undo);
element("clear").addEventListener("click", () => {
  strokes.length = 0;
  choose(null);
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") undo();
});
update();
