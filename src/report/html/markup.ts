import { printable } from '../format.js';

/** HTML that is safe to write: what came from outside was escaped when it went in. */
export class Markup {
  constructor(readonly source: string) {}
}

/** What a template takes: text is escaped, markup is not, a list is joined, nothing is nothing. */
export type Content = Markup | string | number | undefined | false | readonly Content[];

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/**
 * Text of QEMU, of a peer or of a case, for an element or a quoted attribute. Control characters are shown, and so are those
 * that turn the direction of writing, with which a text can look like another.
 */
export function escapeText(text: string): string {
  return printable(text)
    .replace(
      /[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
    .replace(/[&<>"']/g, (c) => entities[c]!);
}

const render = (content: Content): string => {
  if (content instanceof Markup) return content.source;
  if (content === undefined || content === false) return '';
  if (typeof content === 'object') return content.map(render).join('');
  return escapeText(String(content));
};

/** A template for HTML. Attributes must be quoted. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(strings.reduce((text, part, i) => text + render(values[i - 1]) + part));
}

/** A value as JSON inside of a script element: nothing in it can end the element or a line of script. */
export function embeddedJson(value: unknown): Markup {
  const text = JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return new Markup(text);
}
