// What each family does, in a sentence for readers who know none of them.

export const FAMILIES = /** @type {Record<string, string>} */ ({
  transformer: "Writes an item piece by piece; the probability of each piece follows from the pieces before it.",
  diffusion: "Starts from a rough draft under noise and removes the noise in a few steps, each time guessing the clean item behind it.",
  gan: "A generator makes items in a single step; it learns only from a discriminator, which tries to tell them from real ones.",
  vae: "Turns items into a few numbers and back; new numbers give new items, which are a little soft.",
});

export const FAMILY_TITLES = /** @type {Record<string, string>} */ ({
  transformer: "Transformer",
  diffusion: "Diffusion",
  gan: "GAN",
  vae: "VAE",
  fsq: "FSQ",
});

/** A family, or the description of one ("vae", "transformer on codes of fsq"), with titles. @param {string} description */
export function familyTitle(description) {
  return description
    .split(" ")
    .map((word) => FAMILY_TITLES[word] ?? word)
    .join(" ");
}
