package hub

import (
	"testing"

	"github.com/omnichat/omnichat/hub/room"
)

func TestAnswersOfAUserShareTheirRoom(t *testing.T) {
	const limit = 4 * answerLump
	held := room.New[UserID](100*limit, 2*limit)
	streams := make([]*stream, 3)
	for i := range streams {
		streams[i] = &stream{user: "ann", limit: limit, held: held}
	}
	piece := answerLump
	grow := func(st *stream) (n int) {
		for st.keep(piece) {
			n++
		}
		return n
	}
	if a, b, c := grow(streams[0]), grow(streams[1]), grow(streams[2]); a != 4 || b != 4 || c != 3 {
		t.Errorf("answers of %d, %d and %d pieces, want 4, 4 and 3: what is left, and one that all have", a, b, c)
	}
	if other := (&stream{user: "bob", limit: limit, held: held}); grow(other) != 4 {
		t.Error("somebody else's answer is cut")
	}
	for _, st := range streams {
		st.giveBack()
		st.giveBack() // once is enough
	}
	if !held.Try("ann", 2*limit) {
		t.Error("bytes are held by nothing")
	}
}
