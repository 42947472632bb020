const long = 'an_identifier_that_goes_on_'.repeat(12);

/** An answer with all that Markdown has, much of it longer than a page is wide. */
export const everything = `# A heading with **bold** and \`code\`

Words with ${long} in them, a link to [a page](https://example.com/${'path/'.repeat(40)}), and
https://example.com/${'bare-address-'.repeat(20)} bare.

## A list of tasks

- [x] done
- [ ] not done, with \`${long}\`
  - [ ] below it

1. One
   - Below
     - Deeper
2. Two
   - Three

> A quote with ${long}

| Name | ${'A wide column '.repeat(6)}| Value |
| --- | --- | ---: |
| \`${long}\` | text | 1 |
| short | ${'more text '.repeat(20)} | 2 |

\`\`\`go
func main() { fmt.Println("${'a line that is longer than the page is wide, '.repeat(5)}") }
// a comment
const n = 42
\`\`\`

\`\`\`
no language
\`\`\`

$$
\\sum_{i=0}^{n} a_i ${'+ b_i + c_i '.repeat(12)}
$$

Inline $x^2 + ${'y + '.repeat(30)} 1$ goes on.

![a picture](https://example.com/picture.png)

---

${'A paragraph of the usual length, which makes the answer a long one that is scrolled to its end.\n\n'.repeat(25)}
### The end

That is the last line.
`;
