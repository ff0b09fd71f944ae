export default () => { throw new Error("oh no") }
