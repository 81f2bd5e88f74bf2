package pages

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"signoff/closer/console"
)

// The sizes of a chart, in the units of its drawing.
const (
	chartWidth  = 640
	chartHeight = 190
	chartLeft   = 44 // for the numbers beside it
	chartTop    = 10
	chartBottom = 26 // for the words below it
)

// chart is bars with a grid behind them, to be drawn by a template.
type chart struct {
	Bars  []bar
	Grid  []gridLine
	Words []word // below the bars
	All   int    // of what the bars count
}

// bar is one column, of parts that stand on each other.
type bar struct {
	Title string // what it counts, in words
	Path  string // of the rows behind it; "": there are none
	Parts []part
	X, W  float64
}

type part struct {
	Class string
	Y, H  float64
}

type gridLine struct {
	Y    float64
	Text string
}

// word stands below the bars, or a time in its place.
type word struct {
	X      float64
	Anchor string // start, middle or end
	Text   string
	Time   time.Time
	Day    bool // the day of the time matters, not the hour
	Minor  bool // left out where there is little room
}

// Width, Height and Base are for templates.
func (chart) Width() int  { return chartWidth }
func (chart) Height() int { return chartHeight }
func (chart) Left() int   { return chartLeft }
func (chart) Base() int   { return chartHeight - chartBottom }

// scale is how many units of the drawing one leaver is, with lines at round numbers.
func scale(most int) (units float64, grid []gridLine) {
	step := 1
	for i := 0; most/step > 4; i++ { // 1 2 5 10 20 50 …
		step = [3]int{1, 2, 5}[i%3] * pow10(i/3)
	}
	top := max(step, (most+step-1)/step*step)
	units = float64(chartHeight-chartBottom-chartTop) / float64(top)
	for n := 0; n <= top; n += step {
		grid = append(grid, gridLine{Y: float64(chartHeight-chartBottom) - float64(n)*units, Text: count(n)})
	}
	return units, grid
}

func pow10(n int) int {
	made := 1
	for range n {
		made *= 10
	}
	return made
}

// column places a bar, the ith of n, and its parts on each other.
func column(i, n int, units float64, counts []int, classes []string) bar {
	width := float64(chartWidth-chartLeft) / float64(n)
	b := bar{X: chartLeft + float64(i)*width + width*0.12, W: width * 0.76}
	y := float64(chartHeight - chartBottom)
	for j, c := range counts {
		if c == 0 {
			continue
		}
		h := float64(c) * units
		y -= h
		b.Parts = append(b.Parts, part{classes[j], y, h})
	}
	return b
}

// closesChart is how many were settled over time.
func closesChart(buckets []console.Bucket) chart {
	var c chart
	most := 0
	for _, b := range buckets {
		most = max(most, b.Closed+b.Failed+b.Other)
	}
	var units float64
	units, c.Grid = scale(most)
	for i, b := range buckets {
		drawn := column(i, len(buckets), units, []int{b.Closed, b.Failed, b.Other}, []string{"closed", "failed", "other"})
		if n := b.Closed + b.Failed + b.Other; n > 0 {
			c.All += n
			drawn.Title = fmt.Sprintf("%s to %s: %d closed, %d failed, %d otherwise settled", clock(b.From), clock(b.To), b.Closed, b.Failed, b.Other)
			drawn.Path = "/leavers?" + url.Values{"settled_from": {instant(b.From)}, "settled_to": {instant(b.To)}}.Encode()
		}
		c.Bars = append(c.Bars, drawn)
	}
	if n := len(buckets); n > 0 {
		days := buckets[n-1].To.Sub(buckets[0].From) > 48*time.Hour
		middle := chartLeft + float64(n/2)*(chartWidth-chartLeft)/float64(n)
		c.Words = []word{{X: chartLeft, Anchor: "start", Time: buckets[0].From, Day: days},
			{X: middle, Anchor: "middle", Time: buckets[n/2].From, Day: days},
			{X: chartWidth, Anchor: "end", Time: buckets[n-1].To, Day: days}}
	}
	return c
}

// tookChart is how long it took from due to closed.
func tookChart(o console.Overview) chart {
	var c chart
	most := 0
	for _, b := range o.Took {
		most = max(most, b.Closed)
	}
	var units float64
	units, c.Grid = scale(most)
	from := o.At
	if len(o.Closes) > 0 {
		from = o.Closes[0].From
	}
	for i, b := range o.Took {
		drawn := column(i, len(o.Took), units, []int{b.Closed}, []string{"closed"})
		below := "longer"
		if b.ToSeconds > 0 {
			below = "≤ " + duration(float64(b.ToSeconds))
		}
		if b.Closed > 0 {
			c.All += b.Closed
			drawn.Title = fmt.Sprintf("%s: %d closed", below, b.Closed)
			rows := url.Values{"settled_from": {instant(from)}, "took_from": {seconds(b.FromSeconds)}, "state": {"closed"}}
			if b.ToSeconds > 0 {
				rows.Set("took_to", seconds(b.ToSeconds))
			}
			drawn.Path = "/leavers?" + rows.Encode()
		}
		c.Bars = append(c.Bars, drawn)
		c.Words = append(c.Words, word{X: drawn.X + drawn.W/2, Anchor: "middle", Text: below, Minor: i%2 == 1})
	}
	return c
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func seconds(s int) string { return strconv.Itoa(s) }
