package obsprop.analysis.patching;

import obsprop.propagation.Observable;

/**
 * What is read, and where.
 *
 * @param position from 0, or from the end of the prompt with -1
 */
public record Readout(Observable observable, int position, FinalNorm finalNorm) {
    /** At the last position, through the final norm. */
    public static Readout last(Observable observable) {
        return new Readout(observable, -1, FinalNorm.ON);
    }
}
