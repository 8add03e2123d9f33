package bench

// What each shape's peers are.
var (
	Timeouts    = timeouts
	Timeds      = timeds
	Retries     = retries
	Hedges      = hedges
	Middlewares = middlewares
)

// NewRequest returns the request that the middleware is measured with.
var NewRequest = newRequest
