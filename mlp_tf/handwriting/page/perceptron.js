"use strict";
// What a trained run does with a drawing, in plain JavaScript; MODEL is its data, from mlp_tf/draw.py.
//   perceptron.prepare(grey, width, height)  the image that the network takes   (mlp_tf/data/ink.py, pictures.py)
//   perceptron.logits(image)                 its logits                         (mlp_tf/model.py, data/warp.py)
// Both say more by their longer names, `prepared` and `forward`, which the page uses.
const perceptron = (() => {
  const ACTIVATIONS = { relu: (v) => Math.max(v, 0), sigmoid: (v) => 1 / (1 + Math.exp(-v)), tanh: Math.tanh };
  const LAYERS = MODEL.layers.map(({ weights, biases }) => ({ weights: floats(weights), biases: floats(biases) }));

  function bytes(text) {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  }

  function floats(text) {
    return new Float32Array(bytes(text).buffer);
  }

  // x W + b: x is [inputs], W [inputs, units] row by row, b [units].
  function dense(x, { weights, biases }) {
    const sums = Float64Array.from(biases);
    x.forEach((value, i) => {
      if (value !== 0) for (let j = 0; j < sums.length; j++) sums[j] += value * weights[i * sums.length + j];
    });
    return Float32Array.from(sums);
  }

  // The perceptron. `seen` is the image as it enters, `hidden` the activations of each hidden layer.
  function forward(image) {
    const seen = MODEL.deskew ? upright(image) : image;
    let layer = Float32Array.from(seen, (pixel) => pixel / 255);
    const hidden = LAYERS.slice(0, -1).map((each) => (layer = dense(layer, each).map(ACTIVATIONS[MODEL.activation])));
    return { seen, hidden, logits: dense(layer, LAYERS.at(-1)) };
  }

  function softmax(logits) {
    const largest = Math.max(...logits);
    const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  // Shears an image about its centre of mass until it does not lean to a side: in 32 bits, as TensorFlow does.
  function upright(image) {
    const { height, width } = MODEL, f = Math.fround, result = new Uint8Array(image.length);
    let total = 0, ofRows = 0, ofColumns = 0, ofBoth = 0, ofSquares = 0;
    image.forEach((light, i) => {
      const row = Math.floor(i / width), column = i % width;
      total += light;
      ofRows += row * light;
      ofColumns += column * light;
      ofBoth += row * column * light;
      ofSquares += row * row * light;
    });
    const mean = (sum) => f(f(sum) / f(Math.max(total, 1)));
    const row = mean(ofRows), column = mean(ofColumns);
    const covariance = f(mean(ofBoth) - f(row * column)), variance = f(mean(ofSquares) - f(row * row));
    const shear = f(covariance / f(variance + f(1e-6)));
    for (let y = 0; y < height; y++) {
      const at = (column) => (column >= 0 && column < width ? image[y * width + column] : 0);
      for (let column = 0; column < width; column++) {
        const x = f(f(column + f(shear * y)) - f(shear * row)), left = Math.floor(x);
        result[y * width + column] = f(f(f(left + 1 - x) * at(left)) + f(f(x - left) * at(left + 1)));
      }
    }
    return result;
  }

  // The image of a drawing on even paper, of 40 pixels a side or more, and what looks odd about its ink: grey is
  // [height * width], from 0 to 1.
  function prepared(grey, width, height) {
    const nothing = { image: new Uint8Array(MODEL.height * MODEL.width), warnings: [] };
    const ink = contrast(smoothed(reduced({ values: grey, width, height })));
    const largest = ink.values.reduce((a, b) => Math.max(a, b), 0);
    if (largest < 0.04 || ink.values.every((value) => value > largest / 2)) return nothing;
    const darkness = median(ink.values.filter((value) => value > largest / 2));
    ink.values = ink.values.map((value) => (value / darkness < 0.2 ? 0 : Math.min(value / darkness, 1)));
    const warnings = keepWholePieces(ink);
    return { image: placed(thickened(cropped(ink))), warnings };
  }

  // Blocks of a picture of more than 250 pixels, averaged; with 256 levels.
  function reduced({ values, width, height }) {
    const factor = Math.ceil(Math.max(width, height) / 250);
    const result = empty(Math.ceil(width / factor), Math.ceil(height / factor));
    const counts = new Float64Array(result.values.length);
    values.forEach((value, i) => {
      const block = Math.floor(Math.floor(i / width) / factor) * result.width + Math.floor((i % width) / factor);
      result.values[block] += Math.round(255 * value);
      counts[block]++;
    });
    // Pillow multiplies by the inverse of the count, in 24 bits.
    const mean = (sum, count) => Math.floor(((sum + Math.floor(count / 2)) * Math.floor(2 ** 24 / count)) / 2 ** 24);
    result.values = result.values.map((sum, block) => mean(sum, counts[block]) / 255);
    return result;
  }

  function empty(width, height) {
    return { values: new Float64Array(width * height), width, height };
  }

  // Calls combine(values of the window of 2 * reach + 1 around each point) along rows, then along columns.
  function alongBoth(picture, reach, combine) {
    for (const step of [1, picture.width]) {
      const length = step === 1 ? picture.width : picture.height, next = empty(picture.width, picture.height);
      const window = new Float64Array(2 * reach + 1);
      for (let i = 0; i < next.values.length; i++) {
        const place = step === 1 ? i % picture.width : Math.floor(i / picture.width);
        for (let k = -reach; k <= reach; k++) {
          window[k + reach] = picture.values[i + (mirrored(place + k, length) - place) * step];
        }
        next.values[i] = combine(window);
      }
      picture = next;
    }
    return picture;
  }

  // The place within a picture that a place beyond its border mirrors: 0 for -1, 1 for -2.
  function mirrored(place, length) {
    const turn = ((place % (2 * length)) + 2 * length) % (2 * length);
    return turn < length ? turn : 2 * length - 1 - turn;
  }

  // A Gaussian filter of deviation 1/600 of the longer side.
  function smoothed(picture) {
    const deviation = Math.max(picture.width, picture.height) / 600, reach = Math.floor(4 * deviation + 0.5);
    const weights = Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-0.5 * ((k - reach) / deviation) ** 2));
    const sum = weights.reduce((a, b) => a + b);
    return alongBoth(picture, reach, (window) => window.reduce((a, value, k) => a + value * weights[k], 0) / sum);
  }

  // The share of the paper's light that ink takes away; the paper is what the border mostly shows.
  function contrast({ values, width, height }) {
    const atBorder = (_, i) => i < width || i >= values.length - width || i % width === 0 || i % width === width - 1;
    const paper = median(values.filter(atBorder));
    const bright = values.reduce((sum, value) => sum + (value - paper) ** 3, 0) > 0;
    const light = (value) => (bright ? 1 - value : value);
    const share = (value) => (light(paper) - light(value)) / Math.max(light(paper), 0.05);
    return { values: values.map(share), width, height };
  }

  function median(values) {
    const sorted = Float64Array.from(values).sort(), middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  // Removes dirt, and what comes in from the border beside the digit; returns what is odd about the rest.
  function keepWholePieces(ink) {
    const { labels, pieces } = labelled(ink);
    const most = (among) => Math.max(0, ...among.map((piece) => piece.amount));
    const dark = pieces.filter((piece) => piece.darkest > 0.5);
    let kept = dark.filter((piece) => piece.amount >= 0.02 * most(dark));
    const inside = kept.filter((piece) => !piece.atBorder);
    if (most(inside) > 0.05 * most(dark)) kept = inside.filter((piece) => piece.amount >= 0.02 * most(inside));
    ink.values = ink.values.map((value, i) => (kept.includes(pieces[labels[i] - 1]) ? value : 0));
    return oddities(ink, kept);
  }

  // The pieces of ink, of which each point touches another, also at a corner; and the piece of each point, from 1.
  function labelled({ values, width, height }) {
    const labels = new Int32Array(values.length), pieces = [];
    values.forEach((value, start) => {
      if (!value || labels[start]) return;
      const piece = { amount: 0, darkest: 0, atBorder: false, top: height, bottom: 0, left: width, right: 0 };
      const waiting = [start];
      labels[start] = pieces.push(piece);
      while (waiting.length) {
        const i = waiting.pop(), y = Math.floor(i / width), x = i % width;
        piece.amount += values[i];
        piece.darkest = Math.max(piece.darkest, values[i]);
        piece.atBorder ||= y === 0 || x === 0 || y === height - 1 || x === width - 1;
        [piece.top, piece.bottom] = [Math.min(piece.top, y), Math.max(piece.bottom, y + 1)];
        [piece.left, piece.right] = [Math.min(piece.left, x), Math.max(piece.right, x + 1)];
        for (let ny = Math.max(y - 1, 0); ny <= Math.min(y + 1, height - 1); ny++) {
          for (let nx = Math.max(x - 1, 0); nx <= Math.min(x + 1, width - 1); nx++) {
            const near = ny * width + nx;
            if (values[near] && !labels[near]) {
              labels[near] = pieces.length;
              waiting.push(near);
            }
          }
        }
      }
    });
    return { labels, pieces };
  }

  function oddities({ values, width, height }, pieces) {
    const extent = (low, high) => Math.max(...pieces.map((p) => p[high])) - Math.min(...pieces.map((p) => p[low]));
    const tallness = extent("top", "bottom"), broadness = extent("left", "right");
    const tall = pieces.filter((piece) => piece.bottom - piece.top > 0.5 * tallness).sort((a, b) => a.left - b.left);
    const beside = tall.some((piece, i) => i && piece.left > tall[i - 1].right - 0.25 * (tall[i - 1].right - tall[i - 1].left));
    const found = {
      "several pieces of ink beside each other, as of several digits": beside,
      "wider than a digit is": !beside && broadness > 1.6 * tallness,
      "ink at the border, as of a frame, or of a digit that is cut off": pieces.some((piece) => piece.atBorder),
      "ink all over the picture": values.filter((value) => value > 0.5).length > 0.5 * values.length,
      "hardly any ink: a dot": Math.max(tallness, broadness) < 0.04 * Math.max(width, height),
    };
    return Object.keys(found).filter((text) => found[text]);
  }

  function cropped({ values, width, height }) {
    let [top, bottom, left, right] = [height, 0, width, 0];
    values.forEach((value, i) => {
      if (!value) return;
      const y = Math.floor(i / width), x = i % width;
      [top, bottom, left, right] = [Math.min(top, y), Math.max(bottom, y), Math.min(left, x), Math.max(right, x)];
    });
    return padded({ values, width, height }, -left, -top, right - left + 1, bottom - top + 1);
  }

  // A picture of another size, with this one so far from its left and top.
  function padded(picture, left, top, width, height) {
    const result = empty(width, height);
    picture.values.forEach((value, i) => {
      const x = (i % picture.width) + left, y = Math.floor(i / picture.width) + top;
      if (x >= 0 && x < width && y >= 0 && y < height) result.values[y * width + x] = value;
    });
    return result;
  }

  // Widens strokes that are thinner than 0.09 of the longer side.
  function thickened(ink) {
    const { values, width, height } = padded(ink, 1, 1, ink.width + 2, ink.height + 2);
    let area = 0, inner = 0;
    values.forEach((value, i) => {
      if (value <= 0.5) return;
      area++;
      inner += [i - 1, i + 1, i - width, i + width].every((near) => values[near] > 0.5);
    });
    const stroke = (2 * area) / Math.max(area - inner, 1);
    const grow = Math.floor((0.09 * Math.max(ink.width, ink.height) - stroke) / 2);
    if (grow < 1) return ink;
    const wider = padded(ink, grow, grow, ink.width + 2 * grow, ink.height + 2 * grow);
    return alongBoth(wider, grow, (window) => Math.max(...window));
  }

  // Fits ink into the box of 20/28 of the image, its centre of mass in the middle; with 256 levels.
  function placed(ink) {
    const { height, width } = MODEL, scale = (20 / 28) * Math.min(height / ink.height, width / ink.width);
    const levels = { ...ink, values: ink.values.map((value) => Math.floor(255 * value)) };
    const columns = Math.max(1, even(scale * ink.width)), rows = Math.max(1, even(scale * ink.height));
    const small = shrunk(shrunk(levels, columns, true), rows, false);
    const largest = small.values.reduce((a, b) => Math.max(a, b)), middles = centre(small);
    const lead = (side, middle, n) => Math.min(Math.max(even(side / 2 - middle), 0), side - n);
    const inPlace = padded(small, lead(width, middles.x, columns), lead(height, middles.y, rows), width, height);
    return Uint8Array.from(inPlace.values, (value) => even((value * 255) / largest));
  }

  // The next integer; of two the even one, as NumPy and Python round.
  function even(value) {
    const down = Math.floor(value);
    return value - down === 0.5 ? down + (down % 2) : Math.round(value);
  }

  // So many columns, or rows, each the mean of those whose middles it covers; in the steps of Pillow's box filter, as
  // on the line between two of them the last bit decides.
  function shrunk(picture, count, across) {
    const length = across ? picture.width : picture.height, scale = length / count, covered = Math.max(scale, 1);
    const result = across ? empty(count, picture.height) : empty(picture.width, count);
    result.values.forEach((_, i) => {
      const x = i % result.width, y = Math.floor(i / result.width), middle = ((across ? x : y) + 0.5) * scale;
      const first = Math.max(0, Math.floor(middle - 0.5 * covered + 0.5));
      const end = Math.min(length, Math.floor(middle + 0.5 * covered + 0.5));
      let sum = 0, found = 0;
      for (let k = first; k < end; k++) {
        const from = (k - middle + 0.5) * (1 / covered);
        if (from <= -0.5 || from > 0.5) continue;
        sum += picture.values[across ? y * picture.width + k : k * picture.width + x];
        found++;
      }
      result.values[i] = Math.round(sum / found);
    });
    return result;
  }

  function centre({ values, width }) {
    let [sum, x, y] = [0, 0, 0];
    values.forEach((value, i) => {
      sum += value;
      x += value * (i % width);
      y += value * Math.floor(i / width);
    });
    return { x: x / sum, y: y / sum };
  }

  return {
    bytes,
    forward,
    prepared,
    softmax,
    prepare: (grey, width, height) => prepared(grey, width, height).image,
    logits: (image) => forward(image).logits,
  };
})();
