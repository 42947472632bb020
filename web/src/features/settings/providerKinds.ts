/** How a provider is spoken to. */
export const kinds = [
  { value: 'openai', label: 'OpenAI or compatible' },
  { value: 'anthropic', label: 'Anthropic' },
  { value: 'gemini', label: 'Google Gemini' },
  { value: 'ollama', label: 'Ollama' },
];

export const kindLabel = (kind: string): string => kinds.find((k) => k.value === kind)?.label ?? kind;
