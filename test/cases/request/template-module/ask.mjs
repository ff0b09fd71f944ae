export default fields =>
  fields.n === 1 ? `Say ${fields.n}` : { messages: [{ role: "user", content: "two" }], max_tokens: 5 }
