"use strict";
// The network of a trained run, in plain JavaScript. MODEL holds its data; mlp_tf/draw.py writes it.
const perceptron = (() => {
  const ACTIVATIONS = {
    relu: (v) => Math.max(v, 0),
    sigmoid: (v) => 1 / (1 + Math.exp(-v)),
    tanh: Math.tanh,
    elu: (v) => (v > 0 ? v : Math.expm1(v)),
    gelu: (v) => (v / 2) * (1 + erf(v / Math.SQRT2)),
    leaky_relu: (v) => Math.max(v, 0.2 * v),
  };
  const activation = ACTIVATIONS[MODEL.activation];
  const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const floats = (base64) => new Float32Array(bytes(base64).buffer);
  const LAYERS = MODEL.layers.map(({ weights, biases }) => ({ weights: floats(weights), biases: floats(biases) }));

  // The error function, within 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
  function erf(v) {
    const t = 1 / (1 + 0.3275911 * Math.abs(v));
    const factors = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
    const sum = factors.reduce((total, factor) => t * (factor + total), 0);
    return Math.sign(v) * (1 - sum * Math.exp(-v * v));
  }

  // Returns x W + b as float32 [units]: x is [inputs], W [inputs, units] row by row, b [units].
  function dense(x, { weights, biases }) {
    const sums = Float64Array.from(biases);
    x.forEach((value, i) => {
      for (let j = 0; j < sums.length; j++) sums[j] += value * weights[i * sums.length + j];
    });
    return Float32Array.from(sums);
  }

  // Returns `seen`, the image (0 to 255) that enters the network; the outputs of each hidden layer; and the logits.
  function forward(image) {
    const seen = MODEL.deskew ? deskew(image) : image;
    const hidden = [];
    let layer = Float32Array.from(seen, (pixel) => pixel / MODEL.divisor);
    for (const each of LAYERS.slice(0, -1)) {
      layer = dense(layer, each).map(activation);
      hidden.push(layer);
    }
    return { seen, hidden, logits: dense(layer, LAYERS.at(-1)) };
  }

  function softmax(logits) {
    const largest = Math.max(...logits);
    const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  // Shears an image about its center of mass until it is upright. Rounds to 32 bits where `deskew` in
  // mlp_tf/data/augmentation.py does, as one gray level in one pixel shows in the logits.
  function deskew(image) {
    const { width } = MODEL;
    const f = Math.fround;
    const sum = (weigh) => image.reduce((total, gray, i) => total + gray * weigh(i % width, Math.floor(i / width)), 0);
    const light = f(Math.max(sum(() => 1), 1));
    const mean = (weigh) => f(f(sum(weigh)) / light);
    const column = mean((x) => x);
    const row = mean((x, y) => y);
    const covariance = f(mean((x, y) => x * y) - f(row * column));
    const variance = f(mean((x, y) => y * y) - f(row * row));
    const shear = f(covariance / f(variance + f(1e-6)));
    return image.map((_, i) => {
      const x = i % width;
      const y = Math.floor(i / width);
      const from = f(f(x + f(shear * y)) - f(shear * row));
      const left = Math.floor(from);
      const pixel = (column) => (column >= 0 && column < width ? image[y * width + column] : 0);
      return f(f(f(left + 1 - from) * pixel(left)) + f(f(from - left) * pixel(left + 1)));
    });
  }

  return { activation, bytes, forward, softmax };
})();
