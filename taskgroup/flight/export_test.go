package flight

// Keys is the number of keys whose load can be joined.
func (g *Group[K, V]) Keys() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.flights)
}
