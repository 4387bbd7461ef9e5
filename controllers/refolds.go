package controllers

import (
	"context"
	"slices"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// refoldsLook is how often it is looked how far boards are that get another order, scoring
// or columns, and refusedLook how often where that was refused.
const refoldsLook, refusedLook = 3 * time.Second, 30 * time.Second

// readRefolds tells in the status of the boards that are not served as the spec has them. It
// asks PostgreSQL where the spec has changed, something is under way, or the whole game is
// looked at.
func (r *LeaderboardReconciler) readRefolds(ctx context.Context, p *pass) error {
	status := &p.lb.Status
	changed := p.base.Status.ObservedGeneration != p.lb.Generation
	if p.fresh && !changed && len(status.Refolds) == 0 {
		return nil
	}

	folds, err := p.stores.postgres.Folds(ctx, p.tenant)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	status.Refolds = refoldsOf(p.lb.Spec.DefaultedBoards(), folds)
	p.refoldsNext = untilRefolds(status.Refolds)
	return nil
}

// refoldsOf compares the boards of a spec with how they are served. One that no server has
// stored yet is not among them.
func refoldsOf(boards []v1alpha1.Board, folds []provision.BoardFold) []v1alpha1.RefoldStatus {
	served := make(map[string]provision.BoardFold, len(folds))
	for _, f := range folds {
		served[f.Board] = f
	}

	var list []v1alpha1.RefoldStatus
	for _, b := range boards {
		f, ok := served[b.Name]
		order, scoring, columns := string(b.Order), string(b.Scoring), columnsOf(b)
		sameColumns := slices.Equal(f.Columns, columns)
		if !ok || f.Order == order && f.Scoring == scoring && sameColumns {
			continue
		}

		is := v1alpha1.RefoldStatus{Board: b.Name, Order: v1alpha1.Order(f.Order), Scoring: v1alpha1.Scoring(f.Scoring), Columns: f.Columns, Step: v1alpha1.RefoldWaiting}
		toldColumns := slices.Equal(f.WantedColumns, columns)
		if f.MissingColumns {
			toldColumns = !sameColumns
		}
		switch told := f.WantedOrder == order && f.WantedScoring == scoring && toldColumns; {
		case !told: // the servers have read an older spec
		case f.Refused != "":
			is.Step, is.Message = v1alpha1.RefoldRefused, f.Refused
		case f.Ranking:
			is.Step, is.Events, is.Folded = v1alpha1.RefoldRanking, f.Events, f.Events
		case f.Begun:
			is.Step, is.Events, is.Folded = v1alpha1.RefoldFolding, f.Events, f.Folded
		}
		list = append(list, is)
	}
	return list
}

// columnsOf are the columns of a board as [provision.BoardFold] has them.
func columnsOf(b v1alpha1.Board) []string {
	var columns []string
	for _, c := range b.Columns {
		columns = append(columns, c.Name+" "+string(c.Order))
	}
	return columns
}

// untilRefolds is in how long the status has to tell something else; 0: not known.
func untilRefolds(refolds []v1alpha1.RefoldStatus) time.Duration {
	var next time.Duration
	for _, is := range refolds {
		look := refoldsLook
		if is.Step == v1alpha1.RefoldRefused {
			look = refusedLook
		}
		if next == 0 || look < next {
			next = look
		}
	}
	return next
}
