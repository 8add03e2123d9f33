package httpdeadline

var (
	ParseGRPC         = parseGRPC
	ParseMilliseconds = parseMilliseconds
	Milliseconds      = milliseconds
)
