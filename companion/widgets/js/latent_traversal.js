// A walk through a decoder's latent space: by a slider for each latent, on a pad over two of them,
// along the way between two images, or by samples. See LatentTraversal in latent_traversal.py for the state.
import {
  announcer,
  bar,
  button,
  fixed,
  frame,
  h,
  notice,
  segmented,
  select,
  slider,
  sliders,
  spoken,
} from "./ui/controls.js";
import { imageGrid } from "./ui/canvas.js";
import { noise } from "./maths/noise.js";
import { openDecoder } from "./runtime/session.js";

const FRAMES = 9; // images on the film strip
const MAP = 7; // images along a side of the pad
const CRISP = 32; // images up to this wide are shown small with sharp pixels, larger ones smoothed
const PAUSE = 160; // milliseconds without a move before pictures that can wait are made

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Numbers under way to Python at most every 80 ms, the last one always. */
function throttled(send) {
  let timer = 0;
  let waiting = false;
  const tick = () => {
    timer = 0;
    if (waiting) call();
  };
  function call() {
    waiting = Boolean(timer);
    if (waiting) return;
    timer = setTimeout(tick, 80);
    send();
  }
  return call;
}

function render({ model, el }) {
  const latentDim = model.get("latent_dim");
  const shape = model.get("image_shape");
  const [low, high] = model.get("value_range");
  const labels = model.get("labels");
  const order = model.get("order");
  const kl = model.get("kl_per_dim");
  const unused = new Set(model.get("unused"));
  const examples = model.get("examples");
  const smooth = shape[2] > CRISP;

  const z = Float64Array.from(model.get("z"));
  let decoder = null;
  let from = 0;
  let to = Math.min(1, examples.length - 1);
  let shown = { latent: order[0] }; // what the film strip shows: a latent, or the way from A to B
  let alive = true;

  // ------------------------------------------------------------ the picture, and all that follows z

  const hero = imageGrid(shape, { label: "Image decoded from the latent vector" });
  hero.el.classList.add("companion-image");
  const status = notice("Loading the model …");
  const said = announcer();

  // Set and sent in one go: the kernel's echo of an earlier point then never overtakes the reader.
  const save = throttled(() => {
    model.set(
      "z",
      Array.from(z, (value) => Number(value.toFixed(4))),
    );
    model.save_changes();
  });

  /** Decode z and draw it. */
  async function paint() {
    if (!decoder) return;
    const point = Float32Array.from(z);
    const image = await decoder.decode(point).catch(fail);
    if (!image || !alive) return;
    hero.draw(image);
    tell("painted", { z: point, image });
  }

  const tell = (what, detail) =>
    root.dispatchEvent(new CustomEvent(`companion-${what}`, { bubbles: true, detail }));

  function fail(error) {
    root.dataset.state = "failed";
    status.set(`This model could not be run: ${error.message}`, "error");
    tell("failed", error);
  }

  /** Everything that moves z ends here; `change(z)` writes the new values. */
  function move(change) {
    const before = z.slice();
    change(z);
    paint();
    follow(before);
    save();
  }

  /** Let the controls show z, and the slow pictures follow if a latent changed that they hold. */
  function follow(before) {
    const changed = new Set();
    for (let i = 0; i < latentDim; i += 1) if (z[i] !== before[i]) changed.add(i);
    for (const i of changed) controls[i].set(z[i]);
    pad.follow();
    strip.follow();
    pad.refreshIf(changed);
    strip.refreshIf(changed);
  }

  // ------------------------------------------------------------ sliders

  const klText = (i) => (unused.has(i) ? "unused by the model" : `${kl[i].toFixed(1)} nats`);
  // A bar for next to nothing must not look long, even where nothing is longer.
  const full = kl ? Math.max(0.5, ...kl) : 1;
  const meter = (i) =>
    h(
      "span",
      { class: "traversal-kl" },
      `${kl[i].toFixed(1)} nats`,
      bar({ share: kl[i] / full, token: "data-3" }).el,
    );

  const controls = [];
  for (const i of order) {
    controls[i] = slider({
      label: labels[i],
      min: low,
      max: high,
      step: (high - low) / 120,
      value: z[i],
      neutral: clamp(0, low, high),
      describe: (value) =>
        [labels[i], `value ${spoken(value, 1)}`, kl && klText(i)].filter(Boolean).join(", "),
      annotation: kl ? meter(i) : undefined,
      onInput: (value) =>
        move(() => {
          z[i] = value;
        }),
    });
    const look = () => strip.show({ latent: i });
    controls[i].input.addEventListener("focus", look);
    controls[i].el.addEventListener("pointerenter", (event) => {
      if (!event.buttons) look();
    });
  }
  const rows = (wanted) =>
    sliders(...order.filter((i) => unused.has(i) === wanted).map((i) => controls[i].el));
  const rack = h("div", { class: "traversal-sliders" });
  if (unused.size < latentDim) rack.append(rows(false));
  if (unused.size) rack.append(h("p", { class: "traversal-unused" }, "unused by the model"), rows(true));

  // ------------------------------------------------------------ film strip

  /** Pictures that may wait: `points(k)` is decoded for k = 0 … count − 1 and handed to `draw`. */
  function background(count, points, draw) {
    let version = 0;
    let timer = 0;
    return (delay = PAUSE) => {
      const mine = (version += 1);
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const wanted = () => alive && mine === version;
        for (let k = 0; decoder && k < count && wanted(); k += 1) {
          const image = await decoder.whenIdle(Float32Array.from(points(k)), wanted);
          if (image) draw(image, k);
        }
      }, delay);
    };
  }

  const between = (t) => {
    const [a, b] = [examples[from].code, examples[to].code];
    return a.map((value, i) => (1 - t) * value + t * b[i]);
  };

  const strip = (() => {
    const grid = imageGrid(shape, { columns: FRAMES, smooth });
    const caption = h("span", {});
    const [left, right] = [h("span", {}), h("span", {})];
    const marker = h("span", { class: "traversal-marker" });
    const along = (k) => low + ((high - low) * k) / (FRAMES - 1);
    const refresh = background(
      FRAMES,
      (k) => {
        if ("path" in shown) return between(k / (FRAMES - 1));
        const point = z.slice();
        point[shown.latent] = along(k);
        return point;
      },
      (image, k) => grid.draw(image, 0, k),
    );
    const share = () => ("path" in shown ? way.get() : (z[shown.latent] - low) / (high - low));
    const follow = () => {
      marker.style.insetInlineStart = `${(100 * (0.5 + (FRAMES - 1) * clamp(share(), 0, 1))) / FRAMES}%`;
    };
    const title = () => {
      const path = "path" in shown;
      caption.textContent = path ? "the way from A to B" : `${labels[shown.latent]} moves, the others stay`;
      left.textContent = path ? "A" : fixed(low, 0);
      right.textContent = path ? "B" : fixed(high, 0);
    };
    // The strip can be scrubbed like the slider it shows, which is what the keyboard moves.
    const film = h("div", { class: "traversal-film", "aria-hidden": "true" }, grid.el, marker);
    const scrub = (event) => {
      const box = grid.el.getBoundingClientRect();
      const t = clamp(((event.clientX - box.left) / box.width) * FRAMES - 0.5, 0, FRAMES - 1) / (FRAMES - 1);
      if ("path" in shown) way.go(t);
      else
        move(() => {
          z[shown.latent] = low + (high - low) * t;
        });
    };
    film.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      film.setPointerCapture(event.pointerId);
      scrub(event);
    });
    film.addEventListener("pointermove", (event) => {
      if (film.hasPointerCapture(event.pointerId)) scrub(event);
    });
    return {
      el: h(
        "figure",
        { class: "traversal-strip" },
        film,
        h("figcaption", { class: "companion-caption" }, left, caption, right),
      ),
      follow,
      refresh,
      start() {
        title();
        follow();
      },
      show(next) {
        if (next.latent === shown.latent && "path" in next === "path" in shown) return;
        shown = next;
        title();
        follow();
        refresh(60);
      },
      refreshIf(changed) {
        if ("path" in shown) return;
        changed.delete(shown.latent);
        if (changed.size) refresh();
      },
    };
  })();

  // ------------------------------------------------------------ pad

  const pad = (() => {
    if (latentDim < 2) return { el: null, follow() {}, refreshIf() {} };
    const axes = [order[0], order[1]];
    const grid = imageGrid(shape, { columns: MAP, rows: MAP, smooth });
    const handle = h("span", { class: "traversal-handle" });
    const at = (k) => low + ((high - low) * k) / (MAP - 1);
    const refresh = background(
      MAP * MAP,
      (k) => {
        const point = z.slice();
        point[axes[0]] = at(k % MAP);
        point[axes[1]] = at(MAP - 1 - Math.floor(k / MAP));
        return point;
      },
      (image, k) => grid.draw(image, 0, k % MAP, Math.floor(k / MAP)),
    );

    // Two native range inputs, one an axis, that assistive technology and keys can move. Arrow keys
    // reach both axes from either.
    const inputs = [0, 1].map((axis) =>
      h("input", {
        type: "range",
        class: "companion-cover",
        min: low,
        max: high,
        step: (high - low) / 60,
        tabindex: axis ? -1 : 0,
        "aria-roledescription": "two-dimensional slider",
      }),
    );
    const step = (event) => (event.shiftKey ? 5 : 1) * ((high - low) / 60);
    const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1] };
    inputs.forEach((input, axis) => {
      input.addEventListener("input", () =>
        move(() => {
          z[axes[axis]] = Number(input.value);
        }),
      );
      input.addEventListener("keydown", (event) => {
        const arrow = arrows[event.key];
        if (!arrow) return;
        event.preventDefault();
        const [target, sign] = arrow;
        const latent = axes[target];
        move(() => {
          z[latent] = clamp(z[latent] + sign * step(event), low, high);
        });
        if (target !== axis) inputs[target].focus();
      });
    });

    // The middle of an image of the map is the point that it is decoded from.
    const place = (value) =>
      `${(100 * (0.5 + ((MAP - 1) * (clamp(value, low, high) - low)) / (high - low))) / MAP}%`;
    const follow = () => {
      handle.style.insetInlineStart = place(z[axes[0]]);
      handle.style.insetBlockEnd = place(z[axes[1]]);
      inputs.forEach((input, axis) => {
        input.value = z[axes[axis]];
        const both = axes.map((i) => `${labels[i]} ${spoken(z[i], 1)}`);
        input.setAttribute("aria-valuetext", (axis ? both.reverse() : both).join(", "));
      });
    };
    const name = () =>
      inputs.forEach((input, axis) => {
        input.setAttribute(
          "aria-label",
          `${labels[axes[axis]]} (${axis ? "up and down" : "left and right"})`,
        );
      });

    const el = h("div", { class: "companion-pad traversal-pad" }, grid.el, handle, ...inputs);
    const drag = (event) => {
      const box = grid.el.getBoundingClientRect();
      const share = (offset, size) => clamp((offset / size) * MAP - 0.5, 0, MAP - 1) / (MAP - 1);
      move(() => {
        z[axes[0]] = low + (high - low) * share(event.clientX - box.left, box.width);
        z[axes[1]] = low + (high - low) * share(box.bottom - event.clientY, box.height);
      });
    };
    el.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      el.setPointerCapture(event.pointerId);
      inputs[0].focus({ preventScroll: true, focusVisible: false });
      drag(event);
    });
    el.addEventListener("pointermove", (event) => {
      if (el.hasPointerCapture(event.pointerId)) drag(event);
    });

    const options = order.map((i) => ({ value: i, label: labels[i] }));
    const choose = (axis, latent) => {
      if (axes[1 - axis] === latent) {
        axes[1 - axis] = axes[axis]; // the two change places
        choices[1 - axis].set(axes[1 - axis]);
      }
      axes[axis] = latent;
      name();
      follow();
      refresh();
      strip.show({ latent: axes[0] });
    };
    const choices = ["across", "up"].map((label, axis) =>
      select({ label, options, value: axes[axis], onChange: (latent) => choose(axis, latent) }),
    );
    let stale = true;
    name();
    follow();
    return {
      el: h(
        "div",
        { class: "traversal-plane", role: "group", "aria-label": "Two latents at once" },
        el,
        h("div", { class: "traversal-axes" }, ...choices.map((choice) => choice.el)),
      ),
      follow,
      open() {
        strip.show({ latent: axes[0] });
        if (!decoder || !stale) return;
        stale = false;
        refresh(0);
      },
      refreshIf(changed) {
        if (![...changed].some((i) => !axes.includes(i))) return;
        stale = active !== "pad";
        if (!stale) refresh();
      },
    };
  })();

  // ------------------------------------------------------------ between two images

  const way = (() => {
    if (examples.length < 2) return { el: null };
    const t = slider({
      label: "A to B",
      min: 0,
      max: 1,
      step: 0.01,
      value: 0,
      describe: (value) =>
        `${Math.round(100 * value)} % of the way from ${examples[from].caption} to ${examples[to].caption}`,
      onInput: (value) => go(value),
    });
    function go(value) {
      t.set(value);
      move(() => z.set(between(value)));
    }
    const group = `traversal-${Math.random().toString(36).slice(2)}`;
    const pick = (end, name, choose) =>
      h(
        "div",
        { class: "traversal-pick", role: "radiogroup", "aria-label": name },
        h("span", { class: "traversal-end", "aria-hidden": "true" }, name),
        h(
          "div",
          { class: "traversal-tiles" },
          ...examples.map(({ picture, caption }, k) => {
            const input = h("input", {
              type: "radio",
              class: "companion-cover",
              name: `${group}-${name}`,
              "aria-label": `${name}: ${caption}`,
            });
            input.checked = k === end;
            input.addEventListener("change", () => {
              choose(k);
              strip.refresh();
              move(() => z.set(between(t.get())));
            });
            const style = smooth ? null : "image-rendering: pixelated";
            return h(
              "label",
              { class: "companion-tile", title: caption },
              input,
              h("img", { src: picture, alt: "", style }),
            );
          }),
        ),
      );
    return {
      el: h(
        "div",
        { class: "traversal-between" },
        pick(from, "A", (k) => {
          from = k;
        }),
        pick(to, "B", (k) => {
          to = k;
        }),
        t.el,
      ),
      get: t.get,
      go,
    };
  })();

  // ------------------------------------------------------------ buttons and the whole

  const panels = { sliders: rack, pad: pad.el, between: way.el };
  let active = latentDim === 2 ? "pad" : "sliders"; // a plane is the natural view of two latents
  function open(name) {
    active = name;
    for (const [other, panel] of Object.entries(panels)) if (panel) panel.inert = other !== name;
    if (name === "sliders") strip.show({ latent: order[0] });
    else if (name === "pad") pad.open();
    else strip.show({ path: true });
  }
  const names = { sliders: "One by one", pad: "Two at once", between: "Between images" };
  const ways = segmented({
    label: "How to move",
    options: Object.keys(panels)
      .filter((name) => panels[name])
      .map((name) => ({ value: name, label: names[name] })),
    value: active,
    onChange: open,
  });
  const side = h(
    "div",
    { class: "traversal-side" },
    pad.el || way.el ? ways.el : null,
    h("div", { class: "traversal-panels" }, ...Object.values(panels).filter(Boolean)),
  );

  let drawn = 0;
  const summary = () =>
    order
      .filter((i) => !unused.has(i))
      .slice(0, 3)
      .map((i) => `${labels[i]} ${spoken(z[i], 1)}`)
      .join(", ");
  const sample = button({
    label: "Random sample",
    title: "Draw z from the prior N(0, I)",
    kind: "primary",
    onClick() {
      drawn += 1;
      move(() => z.set(noise(model.get("seed"), drawn * latentDim).slice(-latentDim)));
      said.say(`A sample from the prior: ${summary()}`);
    },
  });
  const reset = button({
    label: "Reset",
    title: "Back to the prior’s mean, z = 0",
    onClick() {
      move(() => z.fill(0));
      said.say("Back to the prior’s mean: every latent 0");
    },
  });

  const root = frame(
    { title: model.get("title") },
    h(
      "div",
      { class: "traversal" },
      h(
        "div",
        { class: "traversal-hero" },
        h("div", { class: "traversal-picture" }, hero.el, status.el),
        h("div", { class: "traversal-actions" }, sample.el, reset.el),
      ),
      side,
      strip.el,
    ),
    said.el,
  );
  root.dataset.state = "waiting";
  strip.start();
  open(active);
  el.append(root);

  // Python may move z too, and so may a second view of the same widget.
  const fromPython = () => {
    const next = model.get("z");
    if (next.every((value, i) => Math.abs(value - z[i]) < 1e-4)) return;
    const before = z.slice();
    z.set(next);
    paint();
    follow(before);
  };
  model.on("change:z", fromPython);

  const slow = setTimeout(() => {
    status.set("Still loading: the kernel is busy with another cell, or has to run this one again.");
  }, 5000);
  openDecoder(model.get("decoder"), latentDim, model)
    .then(async (opened) => {
      decoder = opened;
      await paint();
      if (!alive || root.dataset.state === "failed") return;
      status.set("");
      root.dataset.state = "ready";
      tell("ready");
      strip.refresh(0);
      if (active === "pad") pad.open();
    })
    .catch(fail)
    .finally(() => clearTimeout(slow));

  return () => {
    alive = false;
    model.off("change:z", fromPython);
  };
}

export default { render };
