/**
 * The form in which texts are compared, as the server does: letters that are composed
 * or not, of full or half width, large or small are the same.
 */
export const searchForm = (text: string): string =>
  text.normalize('NFKC').toLowerCase().toUpperCase().toLowerCase().replaceAll('ς', 'σ').normalize('NFKC');
