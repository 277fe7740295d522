/**
 * XML 1.0 cannot hold most control characters and no lone surrogates, not even escaped; they are shown as `\x1b`, `\ud800`.
 * https://www.w3.org/TR/xml/#charsets
 */
function allowed(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const bad = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]/gu;
  return text.replace(bad, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeText = (text: string) =>
  allowed(text)
    .replace(/[&<>]/g, (c) => entities[c]!)
    .replaceAll('\r', '&#13;');
/** Parsers turn bare line ends and tabs in attributes into spaces. */
const escapeAttribute = (text: string) =>
  allowed(text)
    .replace(/[&<>"]/g, (c) => entities[c]!)
    .replace(/[\t\n\r]/g, (c) => `&#${c.charCodeAt(0)};`);

/** An element as text; `undefined` attributes are left out. A string child is text, an array holds elements. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>>,
  content: string | readonly string[] = [],
): string {
  const list = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeAttribute(String(value))}"`)
    .join('');
  if (content.length === 0) return `<${name}${list}/>`;
  if (typeof content === 'string') return `<${name}${list}>${escapeText(content)}</${name}>`;
  const inner = content.map((child) => `\n${child}`).join('');
  return `<${name}${list}>${inner}\n</${name}>`;
}
