package main

import (
	"bytes"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// draw draws goodput and latency over the load, side by side.
func (x *experiment) draw(file string) error {
	goodput, err := x.panel("goodput, share of capacity", func(p *point) float64 { return p.Goodput / p.Capacity })
	if err != nil {
		return err
	}
	latency, err := x.panel("p99 of accepted, ms", func(p *point) float64 { return float64(p.P99) / 1e6 })
	if err != nil {
		return err
	}
	goodput.Legend.Top, goodput.Legend.Left = false, true
	latency.Legend.Top, latency.Legend.Left = true, true

	canvas := vgsvg.New(24*vg.Centimeter, 9*vg.Centimeter)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Centimeter}
	both := [][]*plot.Plot{{goodput, latency}}
	for i, c := range plot.Align(both, tiles, draw.New(canvas))[0] {
		both[0][i].Draw(c)
	}
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// panel draws a figure of each mode.
func (x *experiment) panel(title string, figure func(*point) float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text = title, "load, % of capacity"
	p.BackgroundColor = color.White
	p.Add(plotter.NewGrid())
	colors := []color.Color{color.RGBA{R: 0xc0, G: 0x39, B: 0x2b, A: 0xff}, color.RGBA{R: 0x1e, G: 0x84, B: 0x49, A: 0xff}}
	for i, m := range modes {
		var points plotter.XYs
		for _, pt := range x.Points {
			if pt.Mode == m.name {
				points = append(points, plotter.XY{X: pt.Percent, Y: figure(pt)})
			}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, dots.Color = colors[i], colors[i]
		line.Width = vg.Points(1.5)
		dots.Shape = draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add(m.name, line, dots)
	}
	p.Y.Min = 0
	return p, nil
}
