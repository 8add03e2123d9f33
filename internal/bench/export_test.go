package bench

// What each shape's peers are.
var (
	Spawners       = spawners
	Limiters       = limiters
	Maps           = maps
	ForEachs       = forEachs
	Streams        = streams
	OrderedStreams = orderedStreams
	Firsts         = firsts
	Coalescers     = coalescers
	Leavers        = leavers
	Stayers        = stayers
)
