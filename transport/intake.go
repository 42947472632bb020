package transport

// Bytes of bodies that are under way at a time, of all and of each user and
// network; more where one body may be larger. Of strangers, many may share a
// network.
const (
	bodiesAll     = 64 << 20
	bodiesEach    = 8 << 20
	strangersAll  = 8 << 20
	strangersEach = 1 << 20
)

// intake reads what requests bring, within bounds of what is read at a time. It is safe
// for concurrent use.
type intake struct {
	edge      *edge
	bodyLimit int64
	spoolDir  string
	bodies    *budget // of requests with a login
	strangers *budget // of requests without one
	uploads   *budget // of files on disk
	loading   chan struct{}
}

func newIntake(opt Options, edge *edge) *intake {
	return &intake{
		edge: edge, bodyLimit: opt.BodyLimit, spoolDir: opt.SpoolDir,
		bodies: newBudget(max(bodiesAll, 4*opt.BodyLimit), max(bodiesEach, 2*opt.BodyLimit)), strangers: newBudget(strangersAll, strangersEach),
		uploads: newBudget(8*uploadsWhole*opt.FileLimit, uploadsWhole*opt.FileLimit), loading: make(chan struct{}, loadedMax),
	}
}
