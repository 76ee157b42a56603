package obsprop.analysis.patching;

/** At which tokens the components of a path read a difference. */
public enum Reach {
    /** Each at the one token that the path names. */
    NAMED,
    /** Each at all tokens; those that the path names do not matter. */
    ALL
}
