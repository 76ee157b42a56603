package obsprop.weights.corpus;

/** Gender of a document's one person, and the pronouns that it fixes. */
public enum Gender {
    FEMALE("she", "her", "her"),
    MALE("he", "him", "his");

    private final String subject;
    private final String object;
    private final String possessive;

    Gender(String subject, String object, String possessive) {
        this.subject = subject;
        this.object = object;
        this.possessive = possessive;
    }

    public Gender other() {
        return this == FEMALE ? MALE : FEMALE;
    }

    /** The pronoun of {@code pronoun}'s grammatical case. */
    String pronoun(Pronoun pronoun) {
        return switch (pronoun) {
            case SUBJECT -> subject;
            case OBJECT -> object;
            case POSSESSIVE -> possessive;
        };
    }

    /** Grammatical case of a pronoun. */
    enum Pronoun {
        SUBJECT,
        OBJECT,
        POSSESSIVE
    }
}
