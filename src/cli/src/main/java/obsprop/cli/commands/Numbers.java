package obsprop.cli.commands;

import java.util.Locale;

/** Numbers for readers, the same in every locale. */
public final class Numbers {
    /** In units of the last decimal. */
    private static final long ONE = 10_000;
    /** Below this a number is known to a unit and better. */
    private static final double LARGEST = 1e9;
    private static final String[] UNITS = {"bytes", "KiB", "MiB", "GiB", "TiB"};

    private Numbers() {
    }

    /** With four decimals. */
    public static String fixed(double value) {
        double size = Math.abs(value);
        if (!(size < LARGEST)) {
            return String.format(Locale.ROOT, "%.4f", value);
        }
        // A format takes a JVM longer the first time than most commands take to compute.
        long units = Math.round(size * ONE);
        boolean negative = Double.doubleToRawLongBits(value) < 0;
        return (negative ? "-" : "") + units / ONE + "." + Long.toString(ONE + units % ONE).substring(1);
    }

    /** As short as is exact: 1 and not 1.0. */
    public static String plain(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e15 ? Long.toString((long) value) : Double.toString(value);
    }

    /** A size in the unit that suits it. */
    public static String bytes(long size) {
        int unit = 0;
        double value = size;
        while (value >= 1024 && unit < UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        return unit == 0 ? size + " bytes" : String.format(Locale.ROOT, "%.1f %s", value, UNITS[unit]);
    }
}
