// Package picture looks at the bytes of images: what they are, whether they are whole,
// and what a vendor takes of them.
package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/gif"
	_ "image/jpeg" // a format that DecodeConfig knows
	"image/png"
	"io"
	"sync"

	"github.com/omnichat/omnichat/hub/plain"
)

// What a picture may measure. A file says its size before its pixels, so a
// small file may ask for any amount of memory.
const (
	sideMax   = 16384
	pixelsMax = 50_000_000
	// decodedMax is what is decoded to see that it can be, in pixels. Of a
	// larger picture only the structure is looked at.
	decodedMax = 8_000_000
)

// Limit is what a vendor takes of an image. Zero values are no limits.
type Limit struct {
	Bytes int  // of the file, before it is encoded
	Side  int  // of the longer side, in pixels
	Still bool // GIF is not understood, or not if it moves
}

// decoding is held while a picture is decoded: one at a time, so that many at
// once take no more memory than one.
var decoding sync.Mutex

var errCutOff = errors.New("is not a whole image")

// Type returns the media type of an image, by its first bytes; "" if it is none that is
// taken.
func Type(data []byte) string {
	if len(data) > 16 && string(data[:4]) == "RIFF" && string(data[8:15]) == "WEBPVP8" {
		return "image/webp"
	}
	if _, format, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		return "image/" + format
	}
	return ""
}

// Check says why data is no picture of its kind that can be shown.
func Check(mediaType string, data []byte) error {
	width, height, err := structure(mediaType, data)
	if err != nil || mediaType == "image/webp" || width*height > decodedMax {
		return err
	}
	decoding.Lock()
	defer decoding.Unlock()
	if _, _, err := image.Decode(bytes.NewReader(data)); err != nil {
		return fmt.Errorf("cannot be read as an image: %w", err)
	}
	return nil
}

// structure returns a picture's size, if its file is whole and of a size that
// is taken.
func structure(mediaType string, data []byte) (width, height int, err error) {
	if width, height, err = measure(mediaType, data); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", errCutOff, err)
	}
	if width < 1 || height < 1 {
		return 0, 0, errors.New("has no pixels")
	}
	if max(width, height) > sideMax || width*height > pixelsMax {
		return 0, 0, fmt.Errorf("has %d × %d pixels; at most %d a side and %d million in all are taken", width, height, sideMax, pixelsMax/1_000_000)
	}
	switch mediaType {
	case "image/png":
		err = wholePNG(data, width, height)
	case "image/jpeg":
		err = wholeJPEG(data)
	case "image/gif":
		err = wholeGIF(data)
	}
	return width, height, err
}

// measure returns the size that a picture says it has.
func measure(mediaType string, data []byte) (width, height int, err error) {
	if mediaType == "image/webp" {
		return measureWebP(data)
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, err
}

// measureWebP reads the first chunk of a WebP file (RFC 9649, section 2).
func measureWebP(data []byte) (width, height int, err error) {
	if len(data) < 30 || int64(binary.LittleEndian.Uint32(data[4:]))+8 > int64(len(data)) {
		return 0, 0, errCutOff
	}
	switch body := data[20:]; string(data[12:16]) {
	case "VP8 ":
		return int(binary.LittleEndian.Uint16(body[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(body[8:]) & 0x3fff), nil
	case "VP8L":
		bits := binary.LittleEndian.Uint32(body[1:])
		return int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1, nil
	case "VP8X":
		return 1 + int(body[4]) + int(body[5])<<8 + int(body[6])<<16, 1 + int(body[7]) + int(body[8])<<8 + int(body[9])<<16, nil
	}
	return 0, 0, errors.New("is no WebP image")
}

// wholeJPEG skips a JPEG's segments, of which one may hold a thumbnail with an
// end of its own, and finds the end of its pixels. What a phone puts behind
// that, as a film, is left alone.
func wholeJPEG(data []byte) error {
	for at := 2; at+4 <= len(data) && data[at] == 0xff; {
		switch data[at+1] {
		case 0xff: // padding
			at++
		case 0xda: // the pixels
			if bytes.Contains(data[at:], []byte{0xff, 0xd9}) {
				return nil
			}
			return errCutOff
		default:
			at += 2 + int(binary.BigEndian.Uint16(data[at+2:]))
		}
	}
	return errCutOff
}

// wholePNG walks a PNG's chunks to the last and inflates its pixels without
// keeping them.
func wholePNG(data []byte, width, height int) error {
	var pixels bytes.Buffer
	for rest := data[8:]; ; {
		if len(rest) < 12 {
			return errCutOff
		}
		n := binary.BigEndian.Uint32(rest)
		if int64(n) > int64(len(rest))-12 {
			return errCutOff
		}
		kind, body := string(rest[4:8]), rest[8:8+n]
		if crc32.ChecksumIEEE(rest[4:8+n]) != binary.BigEndian.Uint32(rest[8+n:]) {
			return errors.New("is damaged")
		}
		if kind == "IEND" {
			break
		}
		if kind == "IDAT" {
			pixels.Write(body)
		}
		rest = rest[12+n:]
	}
	z, err := zlib.NewReader(&pixels)
	if err != nil {
		return errCutOff
	}
	most := int64(height)*(int64(width)*8+1) + 1<<16 // 16 bits for each of four channels, and interlacing
	if n, err := io.Copy(io.Discard, io.LimitReader(z, most+1)); err != nil || n > most {
		return errCutOff
	}
	return nil
}

// wholeGIF walks a GIF's blocks to its trailer.
func wholeGIF(data []byte) error {
	at := 13
	if len(data) > 10 && data[10]&0x80 != 0 {
		at += 3 << (data[10]&7 + 1)
	}
	for at < len(data) {
		switch data[at] {
		case 0x3b:
			return nil
		case 0x21:
			at += 2
		case 0x2c:
			if at+9 >= len(data) {
				return errCutOff
			}
			flags := data[at+9]
			at += 11 // with the first code's size
			if flags&0x80 != 0 {
				at += 3 << (flags&7 + 1)
			}
		default:
			return errors.New("is damaged")
		}
		for at < len(data) && data[at] != 0 {
			at += int(data[at]) + 1
		}
		at++
	}
	return errCutOff
}

// Fit makes of an image one that the vendor takes, and says of which kind that is. The
// error says why there is none.
func (l Limit) Fit(mediaType string, data []byte) (fitMediaType string, fit []byte, err error) {
	width, height, err := structure(mediaType, data)
	if err != nil {
		return "", nil, err
	}
	if mediaType == "image/gif" && l.Still {
		if data, err = still(data); err != nil {
			return "", nil, err
		}
		mediaType = "image/png"
	}
	switch {
	case l.Side > 0 && max(width, height) > l.Side:
		return "", nil, fmt.Errorf("over %d pixels a side", l.Side)
	case l.Bytes > 0 && len(data) > l.Bytes:
		return "", nil, errors.New("over " + plain.Size(int64(l.Bytes)))
	}
	return mediaType, data, nil
}

// still is the first picture of a GIF, as a PNG.
func still(data []byte) ([]byte, error) {
	decoding.Lock()
	defer decoding.Unlock()
	first, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = png.Encode(&out, first)
	return out.Bytes(), err
}
