// Returns what cannot be seen well enough (WCAG 2.2, level AA): texts below 4.5 to 1, or 3 to 1 if large (1.4.3), and
// lines, dots and bars of drawings below 3 to 1 (1.4.11). Bands are left out: their line and their ends say the same.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const known = new Map();
const rgba = (colour) => {
  if (!known.has(colour)) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    known.set(colour, a ? [r, g, b, a / 255] : [0, 0, 0, 0]);
  }
  return known.get(colour);
};
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const luminance = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
const behind = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if (colour[3]) layers.push(colour);
    if (colour[3] === 1) break;
  }
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
};
const ratio = (colour, below) => {
  const [dark, bright] = [luminance(over(rgba(colour), below)), luminance(below)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const low = [];
const report = (element, words, value) => low.push(`${element.tagName}.${element.className.baseVal ?? element.className} ${words} ${value.toFixed(2)}`);

const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const words = walker.currentNode.textContent.trim().slice(0, 40), element = walker.currentNode.parentElement;
  if (!words || element.closest("script, style, option, title, .skip") || !element.checkVisibility()) continue;
  const style = getComputedStyle(element), size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const value = ratio(element instanceof SVGElement ? style.fill : style.color, behind(element));
  if (value < (large ? 3 : 4.5)) report(element, words, value);
}
for (const shape of document.querySelectorAll("svg :is(path, line, polyline, circle, rect)")) {
  if (shape.matches("[class^=band-]") || !shape.checkVisibility()) continue;
  const { fill, stroke } = getComputedStyle(shape), value = ratio(stroke === "none" ? fill : stroke, behind(shape.ownerSVGElement));
  if (value < 3) report(shape, "", value);
}
return low;
