package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"
)

func encoded(t testing.TB, kind string, width, height int) []byte {
	t.Helper()
	img := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Black, color.White})
	var out bytes.Buffer
	var err error
	switch kind {
	case "image/png":
		err = png.Encode(&out, img)
	case "image/jpeg":
		err = jpeg.Encode(&out, img, nil)
	case "image/gif":
		err = gif.EncodeAll(&out, &gif.GIF{Image: []*image.Paletted{img, img}, Delay: []int{5, 5}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// resized is a PNG that says it has another size.
func resized(data []byte, width, height int) []byte {
	data = bytes.Clone(data)
	binary.BigEndian.PutUint32(data[16:], uint32(width))
	binary.BigEndian.PutUint32(data[20:], uint32(height))
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
	return data
}

func TestOnlyWholePicturesAreTaken(t *testing.T) {
	pngData, jpegData, gifData := encoded(t, "image/png", 40, 30), encoded(t, "image/jpeg", 40, 30), encoded(t, "image/gif", 40, 30)
	damaged := bytes.Clone(pngData)
	damaged[len(damaged)-20] ^= 1
	webp := "RIFF\x1a\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x27\x00\x00\x1d\x00\x00\x00\x00\x00\x00"
	for name, tt := range map[string]struct {
		data []byte
		why  string // "": it is taken
	}{
		"png":                          {data: pngData},
		"jpeg":                         {data: jpegData},
		"gif that moves":               {data: gifData},
		"webp":                         {data: []byte(webp)},
		"png cut off":                  {data: pngData[:len(pngData)-13], why: "whole"},
		"png that ends at its header":  {data: pngData[:33], why: "whole"},
		"png with a wrong sum":         {data: damaged, why: "damaged"},
		"png with too few pixels":      {data: resized(pngData, 41, 300), why: "cannot be read"},
		"png of huge size":             {data: resized(pngData, 20000, 20000), why: "20000 × 20000 pixels"},
		"png of one long line":         {data: resized(pngData, 1<<30, 1), why: "pixels"},
		"png with more than it says":   {data: resized(encoded(t, "image/png", 2000, 2000), 1, 1), why: "whole"},
		"jpeg with a film behind it":   {data: append(bytes.Clone(jpegData), "film \xff\xda and more"...)},
		"jpeg cut after its thumbnail": {data: slices.Concat(jpegData[:2], []byte{0xff, 0xe1, byte((len(jpegData) + 2) >> 8), byte(len(jpegData) + 2)}, jpegData, jpegData[2:len(jpegData)-9]), why: "whole"},
		"jpeg cut off":                 {data: jpegData[:len(jpegData)-2], why: "whole"},
		"gif cut off":                  {data: gifData[:len(gifData)-5], why: "whole"},
		"webp cut off":                 {data: []byte(strings.Replace(webp, "\x1a", "\x7a", 1)), why: "whole"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(Type(tt.data), tt.data)
			if (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("Check: %v, want %q", err, tt.why)
			}
		})
	}
}

func TestPicturesFitTheirVendor(t *testing.T) {
	wide := encoded(t, "image/png", 9000, 10)
	for name, tt := range map[string]struct {
		limit Limit
		data  []byte
		media string
		why   string
	}{
		"no limits":            {data: wide, media: "image/png"},
		"too wide":             {limit: Limit{Side: 8000}, data: wide, why: "8000 pixels"},
		"too long a file":      {limit: Limit{Bytes: 50}, data: wide, why: "50 bytes"},
		"stored before checks": {data: wide[:40], why: "whole"},
		"GIF as it is":         {data: encoded(t, "image/gif", 3, 3), media: "image/gif"},
		"GIF made still":       {limit: Limit{Still: true}, data: encoded(t, "image/gif", 3, 3), media: "image/png"},
	} {
		t.Run(name, func(t *testing.T) {
			media, data, err := tt.limit.Fit(Type(tt.data), tt.data)
			if tt.why != "" {
				if err == nil || !strings.Contains(err.Error(), tt.why) {
					t.Fatalf("Fit: %v, want %q", err, tt.why)
				}
				return
			}
			if err != nil || media != tt.media || Type(data) != tt.media {
				t.Errorf("Fit: %s, %v; want %s", media, err, tt.media)
			}
		})
	}
}

func FuzzPicture(f *testing.F) {
	for _, kind := range []string{"image/png", "image/jpeg", "image/gif"} {
		f.Add(encoded(f, kind, 3, 3))
	}
	f.Add([]byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x00\x00\x00\x00\x27\x00\x00\x1d\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if media := Type(data); strings.HasPrefix(media, "image/") {
			_ = Check(media, data)
		}
	})
}

func TestTypeIsThatOfTheContent(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"png":    {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89", "image/png"},
		"gif":    {"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04", "image/gif"},
		"webp":   {"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00", "image/webp"},
		"text":   {"héllo\n", ""},
		"html":   {"<script>alert(1)</script>", ""},
		"nul":    {"a\x00b", ""},
		"binary": {"\xff\xfe\x00\x01", ""},
		"fake":   {"\x89PNG but no more", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Type([]byte(tt.data)); got != tt.want {
				t.Errorf("Type = %q, want %q", got, tt.want)
			}
		})
	}
}
