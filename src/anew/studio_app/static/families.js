// What each family does, in a sentence for somebody who has heard of none of them.

export const FAMILIES = /** @type {Record<string, string>} */ ({
  transformer: "Writes an item piece by piece, each drawn by the odds that follow from the pieces before it.",
  diffusion: "Starts from noise and takes it away in a few steps, each time guessing the clean item behind it.",
  gan: "One network makes items in a single step; another tells them from real ones, and that is all it learns from.",
  vae: "Writes items down as a few numbers and reads them back; new numbers give new items, a little soft.",
});
