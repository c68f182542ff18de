"use strict";
// The page: strokes on a canvas in, pictures and words out. What computes is in perceptron.js.
(() => {
  const MOST_BARS = 10, PEN = 22; // pixels of the drawing, of 320
  const element = (id) => document.getElementById(id);
  const drawing = element("drawing"), pen = drawing.getContext("2d", { willReadFrequently: true });
  const strokes = []; // lists of points [x, y]
  let chosen = null; // a test image that stands in place of strokes
  let stroke = null; // the one that is being drawn, and by which pointer: {points, pointer}

  function make(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // Draws values from 0 to 1 as grey pixels.
  function paint(canvas, values, width) {
    [canvas.width, canvas.height] = [width, Math.ceil(values.length / width)];
    const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
    values.forEach((value, i) => picture.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
    context.putImageData(picture, 0, 0);
  }

  function redraw() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, drawing.width, drawing.height);
    if (chosen) {
      const copy = document.createElement("canvas"), scale = drawing.width / Math.max(MODEL.width, MODEL.height);
      paint(copy, Array.from(chosen, (pixel) => 1 - pixel / 255), MODEL.width);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(copy, 0, 0, scale * copy.width, scale * copy.height);
    }
    Object.assign(pen, { lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
    for (const points of strokes) {
      pen.beginPath();
      pen.moveTo(...points[0]);
      points.forEach((point) => pen.lineTo(...point));
      pen.stroke();
    }
    element("undo").disabled = !strokes.length;
    element("clear").disabled = !strokes.length && !chosen;
  }

  function read() {
    const { data, width, height } = pen.getImageData(0, 0, drawing.width, drawing.height);
    const grey = Float32Array.from({ length: width * height }, (_, i) => data[4 * i] / 255);
    const { image, warnings } = perceptron.prepared(grey, width, height);
    show(image, warnings);
  }

  // Shows what the network makes of an image; nothing of an empty one.
  function show(image, warnings) {
    const { seen, hidden, logits } = perceptron.forward(image), something = image.some((pixel) => pixel > 0);
    const probabilities = perceptron.softmax(logits), best = probabilities.indexOf(Math.max(...probabilities));
    const doubts = [...warnings];
    if (probabilities[best] < MODEL.trusted) doubts.push(`a probability below ${MODEL.trusted.toFixed(2)}`);
    element("answer").textContent = something ? MODEL.classes[best] : "";
    element("doubts").textContent = something && doubts.length ? `Not to be trusted: ${doubts.join("; ")}.` : "";
    showBars(something ? probabilities : probabilities.map(() => 0));
    paint(element("seen"), Array.from(seen, (pixel) => pixel / 255), MODEL.width);
    hidden.forEach((activations, i) => showLayer(element("layers").children[i], activations, something));
  }

  function showBars(probabilities) {
    const order = probabilities.map((_, i) => i);
    if (order.length > MOST_BARS) order.sort((a, b) => probabilities[b] - probabilities[a]).length = MOST_BARS;
    element("bars").replaceChildren(...order.map((i) => {
      const bar = make("div", { className: "bar" });
      bar.style.width = `${100 * probabilities[i]}%`;
      const number = make("span", { className: "number" }, `${(100 * probabilities[i]).toFixed(1)} %`);
      const name = make("span", { className: "name", title: MODEL.classes[i] }, MODEL.classes[i]);
      return make("li", {}, name, make("div", { className: "track" }, bar), number);
    }));
  }

  // A hidden layer as a picture, each unit a pixel: black is the least activation, white the largest.
  function showLayer(place, activations, something) {
    const low = activations.reduce((a, b) => Math.min(a, b), 0);
    const range = activations.reduce((a, b) => Math.max(a, b), 0) - low || 1;
    const on = activations.filter((value) => value > 0).length;
    const grey = Array.from(activations, (value) => (something ? (value - low) / range : 0));
    paint(place.querySelector("canvas"), grey, Math.min(32, activations.length));
    place.querySelector("span").textContent = something ? `, ${on} above 0` : "";
  }

  function point(event) {
    const box = drawing.getBoundingClientRect();
    return [(event.clientX - box.left) * drawing.width / box.width, (event.clientY - box.top) * drawing.height / box.height];
  }

  function begin(event) {
    if (event.button || stroke) return; // a second finger, or a palm
    drawing.setPointerCapture(event.pointerId);
    chosen = null;
    stroke = { points: [point(event)], pointer: event.pointerId };
    strokes.push(stroke.points);
    redraw();
    later();
  }

  function go(event) {
    if (stroke?.pointer !== event.pointerId) return;
    stroke.points.push(...(event.getCoalescedEvents?.() ?? [event]).map(point), point(event));
    redraw();
    later();
  }

  function end(event) {
    if (stroke?.pointer === event.pointerId) stroke = null;
  }

  // Reads the drawing once a frame at most.
  let waiting = false;
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      read();
    });
  }

  function forget(count) {
    strokes.splice(strokes.length - count);
    chosen = stroke = null;
    redraw();
    read();
  }

  function choose(image) {
    strokes.length = 0;
    [chosen, stroke] = [image, null];
    redraw();
    show(image, []);
  }

  function fill() {
    document.title = `Draw: ${MODEL.title}`;
    element("title").textContent = `${MODEL.title}; test accuracy ${MODEL.accuracy}`;
    for (const [name, value] of Object.entries(MODEL.settings)) {
      element("settings").append(make("dt", {}, name), make("dd", {}, value));
    }
    MODEL.layers.slice(0, -1).forEach((layer, i) => {
      const units = perceptron.bytes(layer.biases).length / 4, label = `Hidden layer ${i + 1}: ${units} units`;
      const canvas = make("canvas", { role: "img", ariaLabel: label });
      canvas.style.aspectRatio = `${Math.min(32, units)} / ${Math.ceil(units / 32)}`;
      canvas.style.width = `min(100%, ${1.5 * Math.min(32, units)}rem)`;
      element("layers").append(make("div", { className: "layer" }, make("h2", {}, label, make("span")), canvas));
    });
    for (const { image, name } of MODEL.gallery) {
      const canvas = make("canvas"), pixels = perceptron.bytes(image);
      paint(canvas, Array.from(pixels, (pixel) => pixel / 255), MODEL.width);
      const button = make("button", { type: "button", ariaLabel: `Test image of ${name}` }, canvas, name);
      button.addEventListener("click", () => choose(pixels));
      element("gallery").append(button);
    }
  }

  fill();
  element("seen").style.aspectRatio = `${MODEL.width} / ${MODEL.height}`;
  drawing.addEventListener("pointerdown", begin);
  drawing.addEventListener("pointermove", go);
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) drawing.addEventListener(name, end);
  element("undo").addEventListener("click", () => forget(1));
  element("clear").addEventListener("click", () => forget(strokes.length));
  redraw();
  read();
})();
