package obsprop.weights.corpus;

import java.util.List;
import java.util.Optional;

/**
 * One generated text and what was planted in it.
 *
 * @param text without any separator
 * @param frame number of the grammar's frame, from 0
 * @param nats minus the natural log of the probability with which the grammar makes this text
 * @param person the person it speaks of; none in code
 * @param cues in order of offset
 */
public record Document(
        String text, Kind kind, int frame, double nats, Optional<Person> person, List<Cue> cues) {

    /**
     * @param name empty where only an occupation is mentioned
     * @param occupation empty where none is mentioned
     */
    public record Person(Gender gender, String name, String occupation) {}
}
