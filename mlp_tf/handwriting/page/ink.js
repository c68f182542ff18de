"use strict";
// Prepares a drawing as ink.py and images.py in mlp_tf/handwriting prepare a photo; here, the paper is even.
const ink = (() => {
  const SIDE = 160; // the drawing is measured at this size in pixels, as `predict` measures an image of 320
  const ROW = SIDE + 2; // with a margin of paper, which separates the ends of two rows
  const FAINTEST = 0.2 * 255; // darkness; below it is the soft edge of a stroke
  const BOX = 20 / 28; // of the image's side, as in MNIST

  // Returns the image, uint8 [height * width], on paper like that of the training images, and warnings as texts.
  function prepare(drawing) {
    const mask = darkness(drawing, ROW, ROW, 1, 1, SIDE, SIDE).map((value) => value > FAINTEST);
    const pieces = regions(mask, 1);
    if (!pieces.length) return { image: new Uint8Array(MODEL.width * MODEL.height).fill(MODEL.paper), warnings: [] };
    const whole = measure(pieces.flat());
    const oddities = findOddities(mask, pieces, whole);
    return { image: place(drawing, whole), warnings: oddities.filter((text) => !MODEL.usualWarnings.includes(text)) };
  }

  // Draws a canvas with the arguments `places` of drawImage, and returns the darkness of each pixel, 0 to 255.
  function darkness(canvas, width, height, ...places) {
    const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(canvas, ...places);
    const { data } = context.getImageData(0, 0, width, height);
    return new Uint8Array(width * height).map((_, i) => data[4 * i + 3] - data[4 * i]); // transparent is paper
  }

  // Returns the connected regions of a value in the mask, each as a list of pixels.
  function regions(mask, value) {
    const left = new Set([...mask.keys()].filter((pixel) => mask[pixel] === value));
    const found = [];
    for (const start of left) {
      left.delete(start);
      const region = [start];
      for (const pixel of region) {
        region.push(...[pixel - 1, pixel + 1, pixel - ROW, pixel + ROW].filter((beside) => left.delete(beside)));
      }
      found.push(region);
    }
    return found;
  }

  function measure(pixels) {
    const x = measureAxis(pixels.map((pixel) => (pixel % ROW) - 1));
    const y = measureAxis(pixels.map((pixel) => Math.floor(pixel / ROW) - 1));
    return { area: pixels.length, x, y };
  }

  function measureAxis(places) {
    const start = places.reduce((a, b) => Math.min(a, b));
    const end = places.reduce((a, b) => Math.max(a, b)) + 1;
    return { start, end, size: end - start, center: places.reduce((a, b) => a + b) / places.length + 0.5 };
  }

  // Fits the ink into the box, with its center of mass in the middle.
  function place(drawing, { x, y }) {
    const scale = BOX * Math.min(MODEL.width / x.size, MODEL.height / y.size);
    const fit = ({ start, size, center }, side) => {
      const length = Math.max(1, Math.round(scale * size));
      const before = Math.round((side + 1) / 2 - ((center - start) * length) / size);
      return { length, start: Math.min(Math.max(before, 0), side - length) };
    };
    const across = fit(x, MODEL.width);
    const down = fit(y, MODEL.height);
    const from = [x.start, y.start, x.size, y.size].map((length) => (length * drawing.width) / SIDE);
    const to = [across.start, down.start, across.length, down.length];
    const levels = darkness(drawing, MODEL.width, MODEL.height, ...from, ...to);
    const largest = levels.reduce((a, b) => Math.max(a, b));
    return levels.map((level) => Math.abs(MODEL.paper - Math.round((255 * level) / largest)));
  }

  // Returns what is unlike one digit. The limits let 99 of 100 digits of MNIST pass: see tests/test_draw.py.
  function findOddities(mask, pieces, { area, x, y }) {
    const longer = Math.max(x.size, y.size);
    const heights = pieces.map((piece) => measure(piece).y.size).sort((a, b) => b - a);
    const several = heights[1] > 0.55 * heights[0]; // a loose bar of a 5 is lower
    const tiny = longer < 0.2 * SIDE;
    const loops = regions(mask, 0).length - 1;
    const begins = (step) => mask.filter((value, i) => value && !mask[i - step]).length;
    const strokes = (begins(1) + begins(ROW)) / longer; // that a row and a column meet on average
    const tangled = strokes > 4 || loops > 3 || area > 0.6 * longer ** 2;
    const touches = Math.min(x.start, y.start, SIDE - x.end, SIDE - y.end) === 0;
    const oddities = {
      "hardly any ink": tiny,
      "several pieces of ink, like several digits": several,
      "wider than a digit": x.size > 1.75 * y.size && !several,
      "more ink than in a digit, like a scribble or a blot": tangled && !tiny,
      "ink at the border, like a frame or a digit that is cut off": touches,
    };
    return Object.keys(oddities).filter((text) => oddities[text]);
  }

  return { prepare };
})();
