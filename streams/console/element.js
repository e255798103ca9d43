// Elements of the page. Whatever comes from data becomes a text node or an attribute value, never
// markup: ids are what strangers typed.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...flat(children));
  return node;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** An HTML element; attributes named `on…` are listeners, absent ones are left out. */
export function html(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element, in the same way. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG_NAMESPACE, name), attributes, children);
}

/** Put `children` in place of what an element holds. */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

/** Set an element's text only where it differs: a selection or a screen reader is not disturbed. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
  return node;
}

/** An id or a title, kept apart from the direction of the text around it. */
export function name(text, kind = "name") {
  return html("bdi", { class: kind, title: text.length > 24 ? text : null }, text);
}
