interface Node {
  type: string;
  properties?: { className?: unknown; tabIndex?: number };
  children?: Node[];
}
type Transformer = (tree: Node, file: unknown) => unknown;
// biome-ignore lint/suspicious/noExplicitAny: a plugin's options are its own
export type Plugin = (this: any, options: any) => Transformer;

function mark(node: Node): void {
  const names = node.properties?.className;
  if (Array.isArray(names) && names.includes('katex-display')) node.properties = { ...node.properties, tabIndex: 0 };
  else node.children?.forEach(mark);
}

/** Makes displayed formulas reachable by keyboard, as what is wider than the page scrolls sideways. */
export function reachable(plugin: unknown): Plugin {
  return function (options) {
    const transform = (plugin as Plugin).call(this, options);
    return (tree, file) => {
      transform(tree, file);
      mark(tree);
    };
  };
}
