package obsprop.cli.texts;

/**
 * The field of a JSON line that says what kind of text it holds.
 *
 * @param option that names it, for messages
 */
public record LabelField(String name, String option) {
}
