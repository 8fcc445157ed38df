package demo

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
)

// waves draws a sea under a sky.
func waves(rng *rand.Rand, width, height int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, sea(rng, width, height)); err != nil {
		panic(err) // an image in memory into memory
	}
	return b.Bytes()
}

// photo is a sea as JPEG, with grain so that it has a photo's size.
func photo(rng *rand.Rand, width, height int) []byte {
	img := sea(rng, width, height)
	for i := range img.Pix {
		if i%4 != 3 {
			img.Pix[i] = uint8(min(255, int(img.Pix[i])+rng.IntN(18)))
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func sea(rng *rand.Rand, width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	phase, length := rng.Float64()*6, 20+rng.Float64()*40
	for x := range width {
		surface := float64(height) * (0.55 + 0.08*math.Sin(phase+float64(x)/length))
		for y := range height {
			c := color.RGBA{uint8(150 + 80*y/height), 190, 230, 255}
			if float64(y) > surface {
				c = color.RGBA{20, uint8(60 + 90*y/height), uint8(110 + 60*y/height), 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// blink is a lamp that goes on and off.
func blink(rng *rand.Rand, width, height int) []byte {
	palette := color.Palette{color.RGBA{10, 10, 40, 255}, color.RGBA{255, 240, 160, 255}}
	g := gif.GIF{}
	radius := 10 + rng.IntN(10)
	for frame := range 2 {
		img := image.NewPaletted(image.Rect(0, 0, width, height), palette)
		for x := range width {
			for y := range height {
				dx, dy := x-width/2, y-height/3
				if frame == 1 && dx*dx+dy*dy < radius*radius {
					img.SetColorIndex(x, y, 1)
				}
			}
		}
		g.Image, g.Delay = append(g.Image, img), append(g.Delay, 70)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// invoice is a PDF of one page with two lines on it.
func invoice(number int, what, total string) []byte {
	page := fmt.Sprintf("BT /F1 18 Tf 72 760 Td (No. %d) Tj 0 -40 Td /F1 12 Tf (%s) Tj 0 -20 Td (%s) Tj ET", number, what, total)
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(page), page),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var offsets []int
	for i, o := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

// archive is a ZIP with one file.
func archive(name, text string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create(name)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // into memory
	}
	return b.Bytes()
}
