// A peer's way to train in a page: the dense VAE of trainings.py, its gradient and Adam, written by hand in plain
// JavaScript. `start(weights, images)` gives a step(batch, noise, lr, beta) that returns the loss.

globalThis.handWritten = (sizes, weights, count) => {
  // Layers: body 1, body 2, mu, log_var, decoder 1 to 3; each has a matrix out×in and a bias.
  const layers = [];
  let from = 0;
  for (const [inputs, outputs] of sizes) {
    const w = weights.subarray(from, from + inputs * outputs);
    const b = weights.subarray(from + inputs * outputs, from + inputs * outputs + outputs);
    from += inputs * outputs + outputs;
    layers.push({ inputs, outputs, w, b, x: null, y: new Float32Array(count * outputs) });
  }
  const gradient = new Float32Array(weights.length);
  const [mean, square] = [new Float32Array(weights.length), new Float32Array(weights.length)];
  let steps = 0;
  from = 0;
  for (const layer of layers) {
    layer.gw = gradient.subarray(from, from + layer.w.length);
    layer.gb = gradient.subarray(from + layer.w.length, from + layer.w.length + layer.b.length);
    from += layer.w.length + layer.b.length;
  }

  const forward = (layer, x, relu) => {
    const { inputs, outputs, w, b, y } = layer;
    layer.x = x;
    for (let n = 0; n < count; n += 1)
      for (let o = 0; o < outputs; o += 1) {
        let sum = b[o];
        for (let i = 0, p = o * inputs, q = n * inputs; i < inputs; i += 1) sum += w[p + i] * x[q + i];
        y[n * outputs + o] = relu && sum < 0 ? 0 : sum;
      }
    return y;
  };
  const backward = ({ inputs, outputs, w, x, y, gw, gb }, gy, relu, gx) => {
    gw.fill(0);
    gb.fill(0);
    gx?.fill(0);
    for (let n = 0; n < count; n += 1)
      for (let o = 0; o < outputs; o += 1) {
        const g = relu && y[n * outputs + o] === 0 ? 0 : gy[n * outputs + o];
        if (g === 0) continue;
        gb[o] += g;
        for (let i = 0, p = o * inputs, q = n * inputs; i < inputs; i += 1) gw[p + i] += g * x[q + i];
        if (gx) for (let i = 0, p = o * inputs, q = n * inputs; i < inputs; i += 1) gx[q + i] += g * w[p + i];
      }
    return gx;
  };

  const [b1, b2, mu, logVar, d1, d2, d3] = layers;
  const [z, gz] = [new Float32Array(count * 2), new Float32Array(count * 2)];
  const space = layers.map(({ inputs }) => new Float32Array(count * inputs));
  return (x, noise, lr, beta) => {
    const h = forward(b2, forward(b1, x, true), true);
    const [m, s] = [forward(mu, h, false), forward(logVar, h, false)];
    for (let i = 0; i < z.length; i += 1) z[i] = m[i] + Math.exp(s[i] / 2) * noise[i];
    const logits = forward(d3, forward(d2, forward(d1, z, true), true), false);
    let loss = 0;
    const g = new Float32Array(logits.length);
    for (let i = 0; i < logits.length; i += 1) {
      const v = logits[i];
      loss += (Math.max(v, 0) - v * x[i] + Math.log1p(Math.exp(-Math.abs(v)))) / count;
      g[i] = (1 / (1 + Math.exp(-v)) - x[i]) / count;
    }
    backward(d3, g, false, space[6]);
    backward(d2, space[6], true, space[5]);
    backward(d1, space[5], true, gz);
    const [gm, gs] = [new Float32Array(z.length), new Float32Array(z.length)];
    for (let i = 0; i < z.length; i += 1) {
      loss += (beta * 0.5 * (m[i] * m[i] + Math.exp(s[i]) - s[i] - 1)) / count;
      gm[i] = gz[i] + (beta * m[i]) / count;
      gs[i] = (gz[i] * noise[i] * Math.exp(s[i] / 2)) / 2 + (beta * 0.5 * (Math.exp(s[i]) - 1)) / count;
    }
    backward(mu, gm, false, space[2]);
    backward(logVar, gs, false, space[3]);
    for (let i = 0; i < space[2].length; i += 1) space[2][i] += space[3][i];
    backward(b2, space[2], true, space[1]);
    backward(b1, space[1], true, null);
    steps += 1;
    const [c1, c2] = [1 - 0.9 ** steps, 1 - 0.999 ** steps];
    for (let i = 0; i < weights.length; i += 1) {
      mean[i] += 0.1 * (gradient[i] - mean[i]);
      square[i] += 0.001 * (gradient[i] * gradient[i] - square[i]);
      weights[i] -= ((lr / c1) * mean[i]) / (Math.sqrt(square[i] / c2) + 1e-8);
    }
    return loss;
  };
};
