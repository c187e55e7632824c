"""Names and places in the languages whose files come in old encodings, as rows of a CSV file."""

from typing import Final

WESTERN: Final = {
    "german": "Jürgen Müller,Köln;Hans Böhm,Geschäftsführer;Jörg Schröder,Würzburg;Käthe Weiß,München",
    "french": "François Lefèvre,Besançon;Hélène Dupré,Orléans;Jérôme Noël,Nîmes;Benoît Giraud,Évry;Zoë,Alençon",
    "spanish": "José Muñoz,Málaga;María Núñez,Cádiz;Íñigo Peña,León;Andrés Ibáñez,Logroño;Sofía Gutiérrez,A Coruña",
    "portuguese": "João Simões,São Paulo;Inês Gonçalves,Brasília;António Magalhães,Évora;Conceição Araújo,Belém",
    "danish": "Søren Jørgensen,København;Bjørn Kjær,Århus;Mette Nørgaard,Tønder;Åse Bæk,Helsingør;Jens Sørensen,Køge",
    "swedish": "Åsa Lindström,Göteborg;Björn Sjöberg,Malmö;Märta Åkesson,Växjö;Håkan Nyström,Luleå;Göran,Örebro",
    "icelandic": "Þórdís Sigurðardóttir,Akureyri;Guðmundur Þór,Ísafjörður;Sigríður Jónsdóttir,Hafnarfjörður;Ása,Höfn",
}
EASTERN: Final = {
    "gb18030": "张伟,北京市海淀区;王芳,上海;李娜,技术部工程师;刘洋,保安;陈静,前台;欧阳婷婷,广州;赵磊,经理",
    "big5": "陳俊傑,台北市;林美玲,高雄;黃志明,工程師;張雅婷,業務部;吳建良,桃園;蔡佩蓉,新竹;劉麗珠,台中",
    "cp932": "高橋ケン,東京都;佐藤さくら,大阪;鈴木一郎,営業部;田中結衣,横浜市;渡辺直人,技術課;伊藤みなみ,京都",
    "cp949": "김철수,서울;이영희,부산;박지훈,인천;최민준,대전;정서연,광주;강현우,개발팀 과장;윤수진,경기도",
}
HALF_WIDTH: Final = "ﾀﾅｶ ﾀﾛｳ,ｵｵｻｶ;ｽｽﾞｷ ﾊﾅｺ,ﾄｳｷｮｳ;ﾔﾏﾀﾞ ｹﾝｼﾞ,ﾅｺﾞﾔ;ｻﾄｳ ﾕｳｺ,ｾﾝﾀﾞｲ"
OTHERS: Final = {
    "cp1250": "Jiří Dvořák,Plzeň;Lucie Němcová,Třebíč;Ondřej Růžička,Brno"
    "|Paweł Wiśniewski,Łódź;Małgorzata Żak,Gdańsk;Zażółć Gęś,Kłodzko",
    "cp1251": "Иван Петров,Москва;Ольга Смирнова,Казань;Сергей Кузнецов,Тула"
    "|Олена Шевченко,Київ;Андрій Бойко,Львів;Юлія,Одеса",
    "koi8_r": "Иван Петров,Москва;Ольга Смирнова,Казань;Сергей Кузнецов,Тула",
    "cp1253": "Γιώργος Παπαδόπουλος,Αθήνα;Μαρία Νικολάου,Πάτρα;Ελένη Δημητρίου,Βόλος",
    "cp1254": "Ayşe Yılmaz,İstanbul;Doğan Şahin,Muğla;Çağla Işık,Eskişehir",
    "cp1255": "יוסי כהן,ירושלים;שרה לוי,חיפה;דוד מזרחי,אשדוד",
    "cp1256": "محمد العلي,الرياض;فاطمة حسن,جدة;خالد السعيد,الدمام",
    "cp1257": "Rūta Kazlauskienė,Šiauliai;Jonas Petrauskas,Panevėžys;Ąžuolas Žukauskas,Kėdainiai",
    "cp874": "สมชาย ใจดี,กรุงเทพ;สุดา แก้วมณี,เชียงใหม่;วิชัย ทองคำ,ภูเก็ต",
    "mac_roman": "Jürgen Müller,Köln;Hans Böhm,Geschäftsführer;Käthe Weiß,München",
    "cp850": "Jürgen Müller,Köln;Hans Böhm,Geschäftsführer;Käthe Weiß,München",
}


def rows(names: str, count: int) -> str:
    """A CSV file of `count` rows, whose addresses are ASCII; the names start anew where they end."""
    cells = names.replace("|", ";").split(";")
    lines = (f"http://images.example/{n:05}.jpg,{cells[n % len(cells)]}\r\n" for n in range(count))
    return "uri,tag,description\r\n" + "".join(lines)
