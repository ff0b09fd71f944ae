// An SVG chart for light and dark pages: lines over a number `x`, or a bar for each case without `x`.
export async function plot({ title, x, y, values, interpolate = 'linear' }) {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')])
  const axis = {
    field: 'y',
    type: 'quantitative',
    title: y.title,
    scale: { type: y.scale ?? 'linear' },
  }
  const { spec } = compile({
    width: 560,
    height: 280,
    background: 'white',
    title,
    data: { values },
    ...(x
      ? {
          mark: { type: 'line', point: true, interpolate },
          encoding: {
            x: {
              field: 'x',
              type: 'quantitative',
              title: x.title,
              scale: { type: x.scale ?? 'linear' },
            },
            y: axis,
            color: { field: 'case', type: 'nominal', title: null, legend: { labelLimit: 400 } },
          },
        }
      : {
          mark: 'bar',
          encoding: { y: { field: 'case', type: 'nominal', title: null, sort: null }, x: axis },
        }),
  })
  return await new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG()
}
