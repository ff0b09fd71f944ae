export default () => "x"
