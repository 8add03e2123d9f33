package taskgroup

// Groups returns groups that have been made under h and not joined, as trees, the oldest first: at most limit groups, and
// for each group at most so many kinds of tasks. live is how many groups there are. Its cost grows with what it returns
// and, by about 50 ns each, with the number of tasks in the groups that are returned; groups go on meanwhile, each being
// held up only while its own tasks are counted.
func (h *Hooks) Groups(limit, kinds int) (trees []GroupInfo, live int) {
	h.mu.Lock()
	live = h.live
	chosen := chooseLocked(&h.roots, max(0, limit), nil)
	h.mu.Unlock()
	for len(chosen) > 0 {
		var tree GroupInfo
		tree, chosen = grow(chosen, kinds)
		trees = append(trees, tree)
	}
	return trees, live
}

// Cancel cancels the group of that ID as [Group.Cancel] does. It reports whether there is such a group that has not been
// joined. It panics if cause is nil or [ErrStopped]: the owner, who did not ask for it, would take the work for complete.
func (h *Hooks) Cancel(id uint64, cause error) bool {
	if cause == nil || cause == ErrStopped { //nolint:errorlint // the cause itself
		panic("taskgroup: Hooks.Cancel called without a cause")
	}
	h.mu.Lock()
	w := findLocked(&h.roots, id)
	h.mu.Unlock()
	if w != nil {
		w.g.Cancel(cause) // mu is free: this runs code that is not ours
	}
	return w != nil
}

func findLocked(groups *list[watch], id uint64) *watch {
	for w := range groups.all {
		if w.id == id {
			return w
		}
		if inner := findLocked(&w.inner, id); inner != nil {
			return inner
		}
	}
	return nil
}

// branch is a group, followed by those below it that were chosen with it.
type branch struct {
	w     *watch
	below int
}

// chooseLocked appends groups, each before those below it, until limit have been chosen. hooks.mu is held.
func chooseLocked(groups *list[watch], limit int, chosen []branch) []branch {
	for w := range groups.all {
		if len(chosen) >= limit {
			break
		}
		at := len(chosen)
		chosen = chooseLocked(&w.inner, limit, append(chosen, branch{w: w}))
		chosen[at].below = len(chosen) - at - 1
	}
	return chosen
}

// grow makes a tree of the first of the branches and those below it, and returns the others.
func grow(branches []branch, kinds int) (tree GroupInfo, rest []branch) {
	b := branches[0]
	below, rest := branches[1:1+b.below], branches[1+b.below:]
	b.w.look()
	tree = b.w.info()
	tree.Tasks = b.w.kinds(kinds)
	for len(below) > 0 {
		var inner GroupInfo
		inner, below = grow(below, kinds)
		tree.Groups = append(tree.Groups, inner)
	}
	return tree, rest
}

// kinds returns the tasks that run, those of the same name and function together, oldest first.
func (w *watch) kinds(limit int) []TaskInfo {
	type kind struct {
		name       string
		code       uintptr
		background bool
	}
	type count struct {
		oldest *watched
		n      int
	}
	var found []count
	index := make(map[kind]int)
	w.g.mu.Lock()
	for t := range w.tasks.all {
		o := t.origin()
		k := kind{o.name, o.entry, t.info.Background}
		i, ok := index[k]
		switch {
		case ok:
			found[i].n++
		case len(found) < limit:
			index[k] = len(found)
			found = append(found, count{oldest: t, n: 1})
		}
	}
	w.g.mu.Unlock()
	tasks := make([]TaskInfo, len(found))
	for i, c := range found {
		tasks[i] = c.oldest.info
		tasks[i].Count = c.n
	}
	return tasks
}

// list is a doubly linked list. Its links lie inside of what is in it, so it allocates nothing; the zero list is empty.
type list[T any] struct {
	first, last *link[T]
	len         int
}

// link is the place of a T in a list.
type link[T any] struct {
	of         *T
	prev, next *link[T]
}

func (l *list[T]) push(e *link[T]) {
	if e.prev = l.last; e.prev != nil {
		e.prev.next = e
	} else {
		l.first = e
	}
	l.last = e
	l.len++
}

func (l *list[T]) remove(e *link[T]) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.prev, e.next = nil, nil
	l.len--
}

// all yields what is in the list, in the order in which it came.
func (l *list[T]) all(yield func(*T) bool) {
	for e := l.first; e != nil; e = e.next {
		if !yield(e.of) {
			return
		}
	}
}
