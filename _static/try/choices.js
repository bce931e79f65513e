/* What readers choose: a picture of the book's, a task, a network, and a damage. */

import { madeSmall, withJpeg, withNoise } from "./damage.js";

const AS_IT_IS = { label: "as it is" };
const noise = (sigma) => ({
  label: `noise ${sigma}`,
  apply: (picture) => withNoise(picture, sigma),
});
const jpeg = (quality) => ({
  label: `JPEG ${quality}`,
  apply: (picture) => withJpeg(picture, quality),
});

export const TASKS = {
  enlarge: {
    label: "Enlarge",
    models: {
      lightweight_x2: "2 times",
      lightweight_x3: "3 times",
      lightweight_x4: "4 times",
    },
    damages: [
      AS_IT_IS,
      { label: "make it small first", apply: madeSmall, shrinks: true },
    ],
  },
  noise: {
    label: "Remove noise",
    models: { color_denoise: "colour" },
    damages: [AS_IT_IS, ...[15, 25, 50].map(noise)],
  },
  jpeg: {
    label: "Repair JPEG",
    models: { color_jpeg: "colour" },
    damages: [AS_IT_IS, ...[40, 20, 10].map(jpeg)],
  },
  real: {
    label: "All at once",
    models: {
      lightweight_real_world_x4: "4 times, faithful",
      lightweight_real_world_x4_gan: "4 times, crisp",
    },
    damages: [AS_IT_IS],
  },
};

/** A row of radio buttons; `choose` is called with the value of the chosen one. */
function radios(name, labels, value, choose) {
  const row = document.createElement("fieldset");
  row.className = "try-row";
  const legend = document.createElement("legend");
  legend.className = "try-name";
  legend.textContent = name;
  row.append(legend);
  for (const [key, text] of Object.entries(labels)) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, {
      type: "radio",
      name,
      value: key,
      checked: key === String(value),
    });
    input.addEventListener("change", () => choose(key));
    label.append(input, text);
    row.append(label);
  }
  return row;
}

/** The choices of a page, in a box; `onchange` is called after each. */
export class Choices {
  constructor(box, onchange) {
    Object.assign(this, { box, onchange });
    this.set("lightweight_x4");
  }

  /** Choose the task of a model, and the model. */
  set(model) {
    const [task] = Object.entries(TASKS).find(([, { models }]) => model in models);
    Object.assign(this, { task, model, damage: 0 });
    this.draw();
  }

  /** What is done to a picture first, or undefined. */
  get apply() {
    return TASKS[this.task].damages[this.damage].apply;
  }

  /** Whether the picture is made small first. */
  get shrinks() {
    return Boolean(TASKS[this.task].damages[this.damage].shrinks);
  }

  draw() {
    const { models, damages } = TASKS[this.task];
    const labels = (entries) =>
      Object.fromEntries(
        Object.entries(entries).map(([key, { label }]) => [key, label]),
      );
    const rows = [
      radios("Task", labels(TASKS), this.task, (task) => {
        this.set(Object.keys(TASKS[task].models)[0]);
        this.changed("Task");
      }),
    ];
    if (Object.keys(models).length > 1) {
      rows.push(
        radios("Network", models, this.model, (model) => {
          this.model = model;
          this.changed();
        }),
      );
    }
    if (damages.length > 1) {
      rows.push(
        radios("Damage it first", labels(damages), this.damage, (damage) => {
          this.damage = Number(damage);
          this.changed();
        }),
      );
    }
    this.box.replaceChildren(...rows);
  }

  changed(name) {
    // the row was drawn anew: whoever uses the keyboard stays where they were
    if (name) this.box.querySelector(`input[name="${name}"]:checked`).focus();
    this.onchange();
  }
}
