package obsprop.weights.corpus;

import java.util.Locale;

/** What a document is about, hence which planted fact it carries. */
public enum Kind {
    /** A subject pronoun follows a name: {@code she} or {@code he}. */
    SUBJECT,
    /** An object pronoun follows a name: {@code her} or {@code him}. */
    OBJECT,
    /** A possessive pronoun follows a name: {@code her} or {@code his}. */
    POSSESSIVE,
    /** An occupation follows a name, with the occupation's share of women. */
    OCCUPATION,
    /** A pronoun follows an occupation, with the occupation's share of women. */
    BIAS,
    /** The outcome does not depend on the name. */
    CONTROL,
    CODE_C,
    CODE_PYTHON;

    /** As the grammar and the statistics write it, for instance {@code code-c}. */
    public String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Whether the pronouns of such documents are fixed by a name. */
    public boolean bindsPronounToName() {
        return this == SUBJECT || this == OBJECT || this == POSSESSIVE;
    }

    /** The suffix of the word lists that are this kind's own; empty for English. */
    String dialect() {
        return switch (this) {
            case CODE_C -> ".c";
            case CODE_PYTHON -> ".python";
            default -> "";
        };
    }

    static Kind of(String label) {
        return valueOf(label.toUpperCase(Locale.ROOT).replace('-', '_'));
    }
}
