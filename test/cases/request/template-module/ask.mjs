export default record =>
  record.fields.n === 1 ? `Say ${record.fields.n}` : { messages: [{ role: "user", content: "two" }], max_tokens: 5 }
