package record

// severity orders verdicts: of many the worst counts.
func (v Verdict) severity() int {
	switch v {
	case Pass:
		return 0
	case Skip:
		return 1
	case Inconclusive:
		return 2
	case Fail:
		return 4
	}
	return 3 // Error, and what is no verdict at all
}

// Worst is the verdict on many: FAIL, ERROR, INCONCLUSIVE, PASS, in this
// order. SKIP counts only if strict, as worse than PASS; without strict it
// counts where there is nothing else. Of none it is INCONCLUSIVE: nothing was
// tested. What is no verdict counts as ERROR.
func Worst(strict bool, verdicts ...Verdict) Verdict {
	worst, skipped := Verdict(""), false
	for _, v := range verdicts {
		if v == Skip && !strict {
			skipped = true
			continue
		}
		if worst == "" || v.severity() > worst.severity() {
			worst = v
			if v.severity() == Error.severity() {
				worst = Error
			}
		}
	}
	switch {
	case worst != "":
		return worst
	case skipped:
		return Skip
	}
	return Inconclusive
}

// Overall is Worst of the runs' verdicts.
func Overall(runs []*Run, strict bool) Verdict {
	verdicts := make([]Verdict, 0, len(runs))
	for _, r := range runs {
		verdicts = append(verdicts, r.Verdict)
	}
	return Worst(strict, verdicts...)
}

// ExitStatus is the status with which a command ends that has this verdict
// overall: 0 held, 1 did not hold, 2 could not work, 3 nothing was tested.
func (v Verdict) ExitStatus() int {
	switch v {
	case Pass:
		return 0
	case Fail:
		return 1
	case Inconclusive, Skip:
		return 3
	}
	return 2
}
