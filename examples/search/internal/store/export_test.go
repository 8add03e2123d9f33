package store

var (
	Table          = tableName
	CancelGrace    = &cancelGrace
	ConnectTimeout = &connectTimeout
)

func (p *Postgres) Connections() int64 { return p.pool.Stat().NewConnsCount() }

func (s *SQLite) Connections() int { return s.db.Stats().OpenConnections }
